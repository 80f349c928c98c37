{
  "target_defaults": {
    "cflags_cc!": ["-fno-rtti", "-std=gnu++14", "-std=gnu++17", "-std=gnu++20"],
    "cflags_cc": [
      "-std=c++17", "-fno-exceptions", "-O2", "-g", "-fvisibility=hidden",
      "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"
    ],
    "include_dirs": ["native"],
    "defines": ["VPROCFS_VERSION=<!(node -p \"require('./package.json').version\")"]
  },
  "targets": [
    {
      "target_name": "vprocfs",
      "sources": [
        "<!@(find native/addon.cc native/render_tool.cc native/session.cc native/survey_tool.cc native/testing*.cc native/watch_object.cc native/base native/fuse native/node native/container native/source native/seccomp native/state native/survey native/view native/watch -name '*.cc' | sort)"
      ],
      "cflags_cc": ["-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"],
      "ldflags": ["-Wl,-z,now"],
      "defines": ["NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED"]
    },
    {
      "target_name": "vprocfs-keeper",
      "type": "executable",
      "sources": [
        "<!@(find native/keeper native/state -name '*.cc' | sort)",
        "native/base/descriptors.cc",
        "native/fuse/init.cc",
        "native/fuse/mount.cc",
        "native/fuse/reply.cc"
      ],
      "ldflags": ["-static"]
    },
    {
      "target_name": "vprocfs-attach",
      "type": "executable",
      "sources": [
        "<!@(find native/attach -name '*.cc' | sort)",
        "native/base/json.cc",
        "native/source/cgroup_mounts.cc",
        "native/source/mount_table.cc",
        "native/source/parse.cc",
        "native/source/process.cc",
        "native/source/read_file.cc"
      ],
      "ldflags": ["-static"]
    }
  ]
}
