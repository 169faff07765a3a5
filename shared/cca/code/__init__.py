"""Code as it is searched: which files of a directory there are, and of which pieces each is made."""
