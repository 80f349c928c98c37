#pragma once
// What a process does that the kernel prints a record about.

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <sys/socket.h>

/// Ends it by a segmentation fault: "NAME[PID]: segfault at 8 ...", and its code.
static inline void fault(void) {
  volatile uintptr_t nowhere = 8;
  *(volatile int*)nowhere = 1;
}

/// More bytes than a netlink message needs: the kernel prints that, naming the process and no PID. 0:
/// it was sent.
static inline int send_leftover(void) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg link;
    char leftover[3];
  } message = {0};
  message.header.nlmsg_len = NLMSG_LENGTH(sizeof message.link) + sizeof message.leftover;
  message.header.nlmsg_type = RTM_GETLINK;
  message.header.nlmsg_flags = NLM_F_REQUEST;
  const int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  return fd < 0 || send(fd, &message, message.header.nlmsg_len, 0) < 0;
}
