# What the kernel says to an idmapped mount of each path: "mapped", or the name of the error.
# The user namespace maps root to 100000, as those of containers do.
import ctypes
import errno
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
# Numbers of the same calls on every architecture, and their flags.
OPEN_TREE, MOUNT_SETATTR = 428, 442
CLONE_NEWUSER, OPEN_TREE_CLONE, AT_FDCWD, AT_EMPTY_PATH = 0x10000000, 1, -100, 0x1000
MOUNT_ATTR_IDMAP = 0x100000


class MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def user_namespace():
    made, make = os.pipe()
    end, ended = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ended)
        if libc.unshare(CLONE_NEWUSER) == 0:
            os.write(make, b"1")
            os.read(end, 1)
        os._exit(0)
    os.close(make)
    assert os.read(made, 1), "no user namespace"
    for kind in ("uid", "gid"):
        with open(f"/proc/{child}/{kind}_map", "w") as file:
            file.write("0 100000 65536")
    namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    os.close(ended)
    os.waitpid(child, 0)
    return namespace


def idmapped(path, namespace):
    tree = libc.syscall(OPEN_TREE, AT_FDCWD, path.encode(), OPEN_TREE_CLONE)
    assert tree >= 0, path
    attributes = MountAttr(set=MOUNT_ATTR_IDMAP, userns=namespace)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    done = libc.syscall(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(attributes), size)
    said = "mapped" if done == 0 else errno.errorcode[ctypes.get_errno()]
    os.close(tree)
    return said


namespace = user_namespace()
for path in sys.argv[1:]:
    print(idmapped(path, namespace))
