"""A question as LXC's monitor puts it to the agent (native/seccomp/message.h)."""

import struct

HEADER, NOTIFICATION, RESPONSE = 32, 80, 24
SYSINFO, X86_64 = 99, 0xC000003E


def packet(identity, pid, number=SYSINFO):
    data = struct.pack("<iIQ6Q", number, X86_64, 0, 0, 0, 0, 0, 0, 0)
    return packet_of(struct.pack("<QII", identity, pid, 0) + data)


def packet_of(notification):
    header = struct.pack("<QiiHHHxxQ", 0, 1, 1, NOTIFICATION, RESPONSE, 64, 0)
    return header + notification + bytes(RESPONSE)


def response(answer):
    """Its id, value, error and flags."""
    return struct.unpack_from("<QqiI", answer, HEADER + NOTIFICATION)
