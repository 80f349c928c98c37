#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/attempts.h"
#include "base/fd.h"
#include "base/result.h"
#include "container/host.h"
#include "container/more_cpus.h"
#include "container/open_sources.h"
#include "container/registry.h"
#include "container/sampler.h"
#include "engine/kept_socket.h"
#include "fuse/loop.h"
#include "fuse/served_connection.h"
#include "fuse/server.h"
#include "klog/log_reader.h"
#include "seccomp/agent.h"
#include "state/fd_store.h"
#include "tenant/shared_resources.h"

namespace vprocfs {

struct EngineOptions {
  std::string type, source;
  size_t max_threads = 64;
  ServerOptions server;
  bool bpf = true;  ///< tasks may be counted by a BPF program
  AgentOptions agent;
  std::string metrics_address;  ///< see KeptSocket
  bool kernel_log = true;       ///< containers have kernel logs of their own
  ConnectionPlace plain;
  /// For files that are polled. Without one they are polled on the plain connection, which costs
  /// every open by a program that polls all its files a request.
  ConnectionPlace polled;
};

/// A served tree: all parts put together.
class Engine {
 public:
  /// What `on_end` is told when the mount of files that are polled is gone: no end of serving.
  static constexpr char kPolledGone[] = "polled";

  /// Told when what features of ours are said to be, such as agent_problem(), has become another.
  using OnFeatures = std::function<void()>;

  /// `on_more_cpus`: told when more_cpus() has one after it had none.
  Engine(EngineOptions options, Loop::OnEnd on_end, OnFeatures on_features,
         std::function<void()> on_more_cpus);
  ~Engine();

  /// All that can fail or take time before requests are taken: reads the host once.
  Result<bool> prepare();
  /// Mounts (or adopts the keeper's connection and what the worker before us left), and serves when
  /// it returns. After prepare(). `fd_store`: where descriptors are that the next worker needs; may
  /// be nullptr.
  Result<bool> activate(FdStore* fd_store);
  /// What becomes of requests that wait for their turn or a budget.
  enum class Waiting : uint8_t {
    kAnswered,
    kLeft,  ///< to the next worker, where the kernel asks it again
  };
  /// Answers what is in hand and ends all threads. `unmount`: unmounts too; else another worker is
  /// to take over. True when the unmount had to be lazy.
  Result<bool> stop(bool unmount, Waiting waiting = Waiting::kAnswered);

  /// After stop(): a container keeps one of our threads from ending, so that this must stay as long
  /// as the process does.
  bool is_held() const { return is_held_; }

  // Of these there is nothing before activate() has succeeded, whatever thread that runs on.
  bool active() const { return active_.load(std::memory_order_acquire); }
  /// Whether the kernel asks the next worker what this one leaves unanswered.
  bool resends() const { return active() && plain_->resends() && (!polled_ || polled_->resends()); }
  /// Calls `visit(server)` for each connection that is served.
  template <typename Visit>
  void for_each_server(Visit visit) const {
    if (!active()) return;
    for (const ServedConnection* served : {plain_.get(), polled_.get()}) {
      if (served != nullptr && served->server() != nullptr) visit(*served->server());
    }
  }
  /// Connections that are served.
  uint32_t connections() const { return active() ? (polled_ ? 2 : 1) : 0; }
  bool has_polled() const { return active() && polled_ != nullptr; }
  /// The containers that show more CPUs than before, since the last call.
  std::vector<ContainerId> more_cpus() { return more_cpus_.take(); }
  /// See tree_lines().
  std::vector<std::string> tree_lines() const;
  /// Why there is no connection for files that are polled; empty when there is, or is not to be.
  std::string polled_problem() const { return active() ? polled_problem_ : std::string(); }
  Registry* registry() const { return active() ? registry_.get() : nullptr; }
  std::shared_ptr<LogReader> log_reader() const { return active() ? log_reader_ : nullptr; }
  /// The log of a container from a record on; what it begins with where there is none yet. Errors
  /// as Registry::by_id(), and ENOTSUP: containers have no logs.
  Result<KernelLogs::Page> kernel_log(ContainerId id, uint64_t from, size_t max_records);
  /// Why logs get no events; empty when they do, or are not to be.
  std::string log_problem() const { return active() ? log_problem_ : std::string(); }
  const KernelLogs* logs() const { return active() ? logs_.get() : nullptr; }
  const Sampler* sampler() const { return active() ? sampler_.get() : nullptr; }
  /// What all tenants share; nullptr before prepare().
  const SharedResources* shared_resources() const { return shared_resources_.get(); }
  /// nullptr before activate() has succeeded.
  KeptSocket* metrics_socket() { return active() ? &metrics_socket_ : nullptr; }
  /// nullptr: there is none, see agent_problem().
  const Agent* agent() const { return active() ? agent_.get() : nullptr; }
  /// Why no system calls are answered, or none of containers that start now; empty when they are,
  /// or are not to be.
  std::string agent_problem() const {
    if (!active()) return {};
    return agent_ ? agent_->listen_problem() : agent_problem_;
  }
  /// From time to time: tries again to have threads where the node had none to give.
  void reinforce();
  /// Worker threads; from any thread, as long as nobody calls activate().
  size_t threads() const;
  /// True while some thread of each connection waits for requests. Without its mount the second one
  /// has none.
  bool serving() const;
  ConnectionState connection() const;
  /// Why a state file of the worker before us was not taken over; empty when all were.
  std::string state_ignored() const;

 private:
  Result<bool> connect();
  void connect_polled();
  void make_servers();
  Result<bool> begin(FdStore* fd_store);
  bool limits_changed();
  template <typename Visit>
  void for_each_started(Visit visit) {
    visit(*plain_->server());
    if (polled_) visit(*polled_->server());
  }
  /// Takes what earlier workers have left, and answers system calls.
  Result<bool> start_agent(FdStore* fd_store);
  void open_logs();
  Result<bool> start_log();
  LifeStarts starts_of(const ContainerDescription& found) const;
  BannerFacts banner_facts(const ContainerDescription& description);
  BannerOf banner();
  /// The same for a thread that others need: without the figures of a container that keeps them
  /// from being read.
  BannerOf prompt_banner();

  const EngineOptions options_;
  const Loop::OnEnd on_end_;
  const OnFeatures on_features_;
  MoreCpus more_cpus_;
  std::atomic<bool> active_{false};  ///< activate() has succeeded
  std::string agent_problem_, polled_problem_, log_problem_, exited_problem_;
  std::unique_ptr<Host> host_;
  std::shared_ptr<ChangeNotifier> notifier_;
  std::unique_ptr<HostSource> host_source_;
  /// Before all that keeps something in their state files.
  std::unique_ptr<ServedConnection> plain_, polled_;
  std::unique_ptr<SharedResources> shared_resources_;
  OpenSources sources_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<Attempts> attempts_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<ExitedTasks> exited_;  ///< until activate()
  std::unique_ptr<KernelLogs> logs_;
  std::shared_ptr<LogReader> log_reader_;
  std::unique_ptr<Agent> agent_;
  KeptSocket metrics_socket_;
  bool started_ = false;
  std::atomic<bool> is_held_{false};
};

}  // namespace vprocfs
