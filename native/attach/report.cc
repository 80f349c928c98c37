#include "attach/report.h"

#include <algorithm>
#include <iterator>

#include "base/json_writer.h"

namespace vprocfs {
namespace {

const char* to_text(FileState state) {
  static constexpr const char* kTexts[] = {"attached", "present", "replaced", "healed",
                                           "detached", "left",    "missing",  "failed"};
  static_assert(std::size(kTexts) == static_cast<size_t>(FileState::kFailed) + 1);
  return kTexts[static_cast<size_t>(state)];
}

}  // namespace

bool Report::failed() const {
  return !problems.empty() || std::any_of(files.begin(), files.end(), [](const FileReport& f) {
    return f.state == FileState::kFailed;
  });
}

std::string Report::line() const {
  std::string out = name.empty() ? "process " + std::to_string(pid) : name;
  const char* separator = ": ";
  for (const auto& problem : problems) {
    out += separator + problem;
    separator = "; ";
  }
  for (const auto& file : files) {
    if (file.state != FileState::kFailed) continue;
    out += separator + file.path + ": " + file.reason;
    separator = "; ";
  }
  // Names and paths are the container's: nothing in them may look like another line.
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  constexpr size_t kLongest = 1000;
  return out.size() > kLongest ? out.substr(0, kLongest) + "..." : out;
}

std::string Report::json() const {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("pid").number(pid).key("id").text(id);
  json.key("files").begin_array();
  for (const auto& file : files) {
    json.begin_object().key("path").text(file.path).key("state").text(to_text(file.state));
    if (!file.reason.empty()) json.key("reason").text(file.reason);
    json.end_object();
  }
  json.end_array();
  json.key("problems").begin_array();
  for (const auto& problem : problems) json.text(problem);
  json.end_array();
  json.key("busy").boolean(busy).key("cpuUs").number(cpu_us).end_object();
  return out;
}

}  // namespace vprocfs
