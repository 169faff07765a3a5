"""Text that PostgreSQL can hold."""


def text_without_nul(text: str) -> str:
    """The text with U+FFFD for each NUL, as undecodable bytes become it: PostgreSQL's `text` cannot hold that one."""
    return text.replace("\0", "\ufffd") if "\0" in text else text
