"""Runs a command beside a mount like that of vprocfs, which nobody answers.

    unshare --mount silent.py DIRECTORY COMMAND...
"""

import ctypes
import os
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other"
if libc.mount(b"vprocfs", sys.argv[1].encode(), b"fuse.lxcfs", 0, options.encode()) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
sys.exit(subprocess.call(sys.argv[2:]))
