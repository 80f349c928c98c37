{
  "variables": {
    # 1: the addon of the tests is built too (packaging/setup.mjs test).
    "vprocfs_tests%": 0
  },
  "target_defaults": {
    "cflags_cc!": ["-fno-rtti", "-std=gnu++14", "-std=gnu++17", "-std=gnu++20"],
    "cflags_cc": [
      "-std=c++17", "-fno-exceptions", "-g", "-fvisibility=hidden",
      "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"
    ],
    "configurations": {
      "Release": { "cflags_cc": ["-O2"] },
      # For the inner loop of development: quick to compile.
      "Debug": { "cflags_cc": ["-O0"] }
    },
    "include_dirs": ["native"]
  },
  "targets": [
    {
      # All that needs no Node.
      "target_name": "vprocfs_core",
      "type": "static_library",
      "sources": [
        "<!@(find native/base native/bpf native/engine native/fuse native/node native/container native/klog native/source native/seccomp native/state native/survey native/tenant native/view native/watch -name '*.cc' | sort)"
      ]
    },
    {
      "target_name": "vprocfs",
      "dependencies": ["vprocfs_core"],
      "sources": ["<!@(find native/addon -name '*.cc' | sort)"],
      "cflags_cc": ["-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"],
      "ldflags": ["-Wl,-z,now"],
      "defines": [
        "NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED",
        # While Node ends, no callback can be called any more. That must not abort the process.
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
        "VPROCFS_VERSION=<!(node -p \"require('./package.json').version\")"
      ]
    },
    {
      "target_name": "vprocfs-keeper",
      "type": "executable",
      "sources": [
        "<!@(find native/keeper native/state -name '*.cc' | sort)",
        "native/base/descriptors.cc",
        "native/base/unix_socket.cc",
        "native/fuse/init.cc",
        "native/fuse/mount.cc",
        "native/fuse/operations.cc",
        "native/fuse/reply.cc",
        "native/seccomp/message.cc",
        "native/seccomp/pending_calls.cc",
        "native/source/mount_table.cc",
        "native/source/parse.cc",
        "native/source/process_stat.cc",
        "native/source/read_file.cc"
      ],
      "ldflags": ["-static"]
    },
    {
      "target_name": "vprocfs-attach",
      "type": "executable",
      "sources": [
        "<!@(find native/attach -name '*.cc' | sort)",
        "native/base/act_as.cc",
        "native/base/descriptors.cc",
        "native/base/json.cc",
        "native/base/unix_socket.cc",
        "native/source/cgroup_mounts.cc",
        "native/source/mount_kind.cc",
        "native/source/mount_table.cc",
        "native/source/parse.cc",
        "native/source/process.cc",
        "native/source/process_stat.cc",
        "native/source/process_status.cc",
        "native/source/read_file.cc"
      ],
      "ldflags": ["-static"]
    },
    {
      "target_name": "vprocfs-writer",
      "type": "executable",
      "sources": [
        "native/writer/main.cc",
        "native/base/descriptors.cc",
        "native/base/priority.cc",
        "native/base/program_pages.cc",
        "native/seccomp/pending_calls.cc",
        "native/source/cgroup_mounts.cc",
        "native/source/mount_table.cc",
        "native/source/parse.cc",
        "native/source/process.cc",
        "native/source/process_stat.cc",
        "native/source/process_status.cc",
        "native/source/read_file.cc"
      ],
      "ldflags": ["-static"]
    }
  ],
  "conditions": [
    # On others hooks are started by a shell.
    ["target_arch=='x64' or target_arch=='arm64'", {
      "targets": [
        {
          # Without a C library, which takes longer to start than all that it does.
          "target_name": "vprocfs-hook",
          "type": "executable",
          "sources": ["native/hook/main.cc"],
          "cflags_cc": ["-fno-stack-protector", "-fno-asynchronous-unwind-tables"],
          "ldflags": ["-static", "-nostdlib", "-Wl,--build-id=none", "-Wl,-z,noseparate-code"]
        }
      ]
    }],
    ["vprocfs_tests==1", {
      "targets": [
        {
          # No package has it.
          "target_name": "vprocfs_testing",
          "dependencies": ["vprocfs_core"],
          "sources": ["<!@(find native/testing -name '*.cc' | sort)"],
          "cflags_cc": ["-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"],
          "ldflags": ["-Wl,-z,now"],
          "defines": ["NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED"]
        }
      ]
    }]
  ]
}
