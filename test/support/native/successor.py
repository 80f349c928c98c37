"""Takes what vprocfs-rest hands over, in the place of a worker.

successor.py SOCKET dies     ends without a receipt
successor.py SOCKET earlier  as a worker of a version without receipts, and hands it over in turn as
                             vprocfs-rest of that version did, to the first who comes
"""

import array
import os
import socket
import struct
import sys
import time

PATH, HOW = sys.argv[1:]
RECEIPT_WANTED, ALL_PASSED, MOST = 0xFFFF0001, 0xFFFF0002, 16


def packets(peer):
    """Until there are no more: (numbers, descriptors)."""
    while True:
        data, ancillary, _, _ = peer.recvmsg(4096, socket.CMSG_SPACE(4 * MOST))
        if data == b"":
            return
        descriptors = array.array("i")
        for _, _, passed in ancillary:
            descriptors.frombytes(passed)
        yield list(struct.unpack(f"<{len(data) // 4}I", data)), list(descriptors)


taking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
taking.connect(PATH)
taken = []
for numbers, descriptors in packets(taking):
    if descriptors:
        taken.append((numbers, descriptors))
    if HOW == "dies" and numbers == [RECEIPT_WANTED]:
        taking.send(b"\0")
    if HOW == "dies" and numbers == [ALL_PASSED]:
        print(sum(len(descriptors) for _, descriptors in taken))
        os._exit(0)
taking.close()
# Who handed it over removes its socket only after that.
until = time.monotonic() + 10
while os.path.exists(PATH) and time.monotonic() < until:
    time.sleep(0.001)
handing = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
handing.bind(PATH)
handing.listen()
print("ready", flush=True)
peer, _ = handing.accept()
for numbers, descriptors in taken:
    socket.send_fds(peer, [struct.pack(f"<{len(numbers)}I", *numbers)], descriptors)
os.unlink(PATH)
