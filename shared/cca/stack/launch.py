"""The first breath of every process of the stack: bind its life to its parent's, change identity, become it.

Run as a script by the interpreter of the parent (`python -I -S launch.py …`), because the calls below belong
between fork and exec, and running Python there is not safe in a parent with threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 4
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWUSER = 0x10000000


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _usable() -> int | None:
    """The capability that lets an ordinary user reach files below closed directories: the weaker, if we may."""
    with open("/proc/self/status") as status:
        fields = dict(line.split(":\t") for line in status if line.startswith(("CapPrm", "CapBnd")))
    have = int(fields["CapPrm"], 16) & int(fields["CapBnd"], 16)
    return next((cap for cap in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE) if have >> cap & 1), None)


def become(uid: int, gid: int) -> None:
    """Turn from root into an ordinary user that can still read what lies below closed directories.

    The installation and the data may be in a home directory with mode 0700. Where the identity cannot be changed
    (by an ordinary user, or in a user namespace that knows root alone), a namespace gives us another number.
    """
    if sys.platform != "linux":
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    capability = _usable()
    try:
        # Without this access(2), by which PostgreSQL looks at its programs, ignores what we keep.
        if libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) != 0:
            _check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities")
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError:
        _rename(libc, uid, gid)
        return
    if capability is not None:
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        mask = 1 << capability
        sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
        _check(libc.capset(header, sets), "set capabilities")
        _check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0), "pass on a capability")
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "give up new privileges")


def _rename(libc: ctypes.CDLL, uid: int, gid: int) -> None:
    own_uid, own_gid = os.geteuid(), os.getegid()
    _check(libc.unshare(CLONE_NEWUSER), "change the user")
    maps = {"setgroups": "deny", "uid_map": f"{uid} {own_uid} 1", "gid_map": f"{gid} {own_gid} 1"}
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def main(argv: list[str]) -> None:
    """`launch.py PARENT SIGNAL UID:GID|- PROGRAM ARGUMENT…`"""
    parent, death_signal, identity, program = int(argv[0]), int(argv[1]), argv[2], argv[3:]
    try:
        if identity != "-":
            uid, gid = identity.split(":")
            become(int(uid), int(gid))
        if sys.platform == "linux":  # after the change of identity, which would take it back
            libc = ctypes.CDLL(None, use_errno=True)
            _check(libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "follow the parent")
        if os.getppid() != parent:
            sys.exit("the parent has gone")
        os.execv(program[0], program)
    except OSError as error:
        sys.exit(f"{program[0]} cannot be started: {error.strerror or error}")


if __name__ == "__main__":
    main(sys.argv[1:])
