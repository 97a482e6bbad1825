// Descriptors 0, 1 and 2 of a program that was started with some of them closed: the next file it opened would get
// their numbers, and what is meant for people or for a pipe would go there. Call it first in main().
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace futured {

enum class StandardFds : unsigned char {
  silent,   ///< a closed one is empty to read and swallows what is written: for programs that run unattended
  failing,  ///< a closed one fails like a closed one: for programs whose output somebody relies on
};

/// Opens /dev/null at those that are closed. Where even that fails they stay closed.
inline void open_standard_fds(StandardFds how) {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is this one: all below are open.
    const int failing = fd == 0 ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", how == StandardFds::silent ? O_RDWR : failing) != fd) return;
  }
}

}  // namespace futured
