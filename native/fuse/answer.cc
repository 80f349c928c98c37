#include "fuse/answer.h"

#include <cerrno>

namespace vprocfs {

Answer Answer::text(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  const std::string_view all = *owner;
  return part(all, std::move(owner));
}

Answer Answer::part(std::string_view bytes, std::shared_ptr<const void> owner) {
  Answer answer;
  answer.owned_ = bytes;
  answer.owner_ = std::move(owner);
  return answer;
}

Answer Answer::tell(int errno_value) {
  Answer answer;
  answer.errno_ = errno_value;
  return answer;
}

Answer Answer::error(int errno_value) {
  Answer answer = tell(errno_value);
  answer.counts_as_error_ = true;
  return answer;
}

Answer Answer::error(const Error& error) {
  // Not an error of ours: what cannot be had, as the kernel says it.
  if (error.code == EOPNOTSUPP) return Answer::error(EOPNOTSUPP);
  // Its tenant has too much already, or all have.
  if (error.code == ENFILE || error.code == EMFILE) return Answer::error(ENFILE);
  const bool gone = error.code == ESRCH || error.code == ENOENT;
  Answer answer = Answer::error(gone ? ESRCH : EIO);
  answer.source_failed_ = !gone;
  return answer;
}

Answer Answer::no_entry(const Error& error) {
  const bool gone = error.code == ESRCH || error.code == ENOENT;
  return gone ? Answer::error(ENOENT) : Answer::error(error);
}

}  // namespace vprocfs
