#include "source/pressure.h"

#include <fcntl.h>

#include <array>
#include <cerrno>

#include "source/parse.h"

namespace vprocfs {
namespace {

/// By PressureResource.
constexpr std::array<const char*, 4> kNames = {"cpu.pressure", "memory.pressure", "io.pressure",
                                               "irq.pressure"};

constexpr size_t index_of(PressureResource resource) { return static_cast<size_t>(resource); }

/// "12.34" -> 1234. Two digits after the point, as psi_show() prints them.
std::optional<uint64_t> parse_hundredths(std::string_view text) {
  const size_t point = text.find('.');
  if (point == text.npos || text.size() != point + 3) return std::nullopt;
  const auto whole = parse_u64(text.substr(0, point));
  const auto rest = parse_u64(text.substr(point + 1));
  if (!whole || !rest || *whole > UINT32_MAX) return std::nullopt;
  return *whole * 100 + *rest;
}

/// "avg10=0.00 avg60=0.00 avg300=0.00 total=0"
std::optional<PressureLine> parse_line(std::string_view text) {
  constexpr std::array<std::string_view, 3> kAverages = {"avg10=", "avg60=", "avg300="};
  constexpr std::string_view kTotal = "total=";
  PressureLine line;
  for (size_t i = 0; i < kAverages.size(); ++i) {
    const std::string_view word = take_word(text);
    if (!starts_with(word, kAverages[i])) return std::nullopt;
    const auto value = parse_hundredths(word.substr(kAverages[i].size()));
    if (!value) return std::nullopt;
    line.averages[i] = *value;
  }
  const std::string_view word = take_word(text);
  if (!starts_with(word, kTotal)) return std::nullopt;
  const auto total = parse_u64(word.substr(kTotal.size()));
  if (!total) return std::nullopt;
  line.total_us = *total;
  return line;
}

}  // namespace

std::optional<PressureFacts> parse_pressure(std::string_view text) {
  PressureFacts facts;
  for_each_line(text, [&](std::string_view line) {
    const std::string_view key = take_word(line);
    if (key == "some") facts.some = parse_line(line);
    if (key == "full") facts.full = parse_line(line);
  });
  if (!facts.some && !facts.full) return std::nullopt;
  return facts;
}

PressureSource::PressureSource(DirPtr dir)
    : dir_(std::move(dir)),
      files_{{{dir_, kNames[0]}, {dir_, kNames[1]}, {dir_, kNames[2]}, {dir_, kNames[3]}}} {}

Result<PressureFacts> PressureSource::read(PressureResource resource, ReadBuffer& buffer) {
  // cgroup.pressure takes the files away and brings them back.
  const char* name = kNames[index_of(resource)];
  const auto text = files_[index_of(resource)].read(buffer, true);
  if (!text) return text.error();
  if (!text.value()) return dir_->error(EOPNOTSUPP, name);
  const auto facts = parse_pressure(*text.value());
  if (!facts) return dir_->error(EINVAL, name);
  return *facts;
}

Result<Fd> PressureSource::open_trigger(PressureResource resource) const {
  const char* name = kNames[index_of(resource)];
  Fd fd(::openat(dir_->fd(), name, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (fd) return fd;
  const int code = errno;
  if (!is_absence(code)) return dir_->error(code, name);
  return dir_->alive() ? dir_->error(EOPNOTSUPP, name) : dir_->gone();
}

}  // namespace vprocfs
