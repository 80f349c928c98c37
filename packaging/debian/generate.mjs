// Man pages and completions out of the command line itself: what it accepts is what they say.

import { bundle } from "../bundle.mjs";

await bundle("build/modules");
const load = (name) => import(`../../build/modules/${name}`);

async function program() {
  const { createProgram } = await load("program.js");
  return createProgram({ addon: () => undefined, env: {}, print: () => {}, exit: () => {} });
}

function visible(root) {
  return root.commands.filter((command) => !command._hidden);
}

const roff = (text) =>
  text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^[.']/gm, "\\&$&");

function optionLines(command) {
  return command.options
    .filter((option) => !option.hidden)
    .map((option) => `.TP\n.B ${roff(option.flags)}\n${roff(option.description)}\n`)
    .join("");
}

function commandSection(command) {
  const operands = command.registeredArguments.map((argument) => {
    const name = argument.name();
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  const synopsis = roff([`vprocfs ${command.name()}`, ...operands, "[OPTION]..."].join(" "));
  return `.SS ${synopsis}\n${roff(command.description())}\n${optionLines(command)}`;
}

/** Path below /usr/share/man to text. */
export async function manPages(version) {
  const root = await program();
  const config = await load("config.js");
  const epoch = process.env.SOURCE_DATE_EPOCH;
  const date = (epoch === undefined ? new Date() : new Date(Number(epoch) * 1000))
    .toISOString()
    .slice(0, 10);
  const head = (name, section) => `.TH ${name} ${section} "${date}" "vprocfs ${version}"\n`;
  const keys = config.CONFIG_KEYS.map((key) => {
    const { description, expects } = config.notesOf(key);
    const fallback = JSON.stringify(config.defaultOf(key));
    return `.TP\n.B ${roff(config.kebabOf(key))}\n${roff(description)}. ${roff(
      `Expects ${expects}; the default is ${fallback}.`,
    )}\n`;
  });
  const summary = roff(root.description());
  return {
    "man8/vprocfs.8":
      `${head("VPROCFS", 8)}.SH NAME\nvprocfs \\- files under /proc that show a container its own limits\n` +
      `.SH SYNOPSIS\n.B vprocfs\n.I COMMAND\n[OPTION]...\n.SH DESCRIPTION\n${summary}\n` +
      `.SH COMMANDS\n${visible(root).map(commandSection).join("")}` +
      ".SH EXIT STATUS\n0: done. 1: could not be done. 2: the command line or the configuration is wrong.\n.PP\n" +
      "doctor: 3: warnings. 4: problems. check: 0: ok. 1: warning. 2: critical. 3: unknown, also for a wrong command line.\n" +
      ".SH FILES\n.I /etc/vprocfs/vprocfs.toml\n.SH SEE ALSO\n.BR vprocfs.toml (5),\n.I /usr/share/doc/vprocfs\n",
    "man5/vprocfs.toml.5":
      `${head("VPROCFS.TOML", 5)}.SH NAME\nvprocfs.toml \\- configuration of vprocfs\n` +
      `.SH SYNOPSIS\n.I /etc/vprocfs/vprocfs.toml\n.SH DESCRIPTION\n` +
      "Every key is also an environment variable VPROCFS_KEY, and a flag of\n.B vprocfs run\n" +
      "except mountpoint, which is its argument.\n" +
      `.SH KEYS\n${keys.join("")}.SH SEE ALSO\n.BR vprocfs (8)\n`,
  };
}

function words(command) {
  return command.options
    .filter((option) => !option.hidden)
    .map((option) => option.long ?? option.short);
}

/** What an option takes, where that is one of a few words. */
function choices({ flags }) {
  const words = /<([^<>|]+(?:\|[^<>|]+)+)>/.exec(flags)?.[1];
  return words === undefined ? [] : words.split("|");
}

/** Whether an operand of the command is a container. */
function takesContainer({ registeredArguments }) {
  return registeredArguments.some((operand) => operand.name() === "CONTAINER");
}

/** Names of the commands that take a container. */
function ofContainers(commands) {
  return commands.filter(takesContainer).map((command) => command.name());
}

/**
 * Prints names of containers, without those that a shell would have to quote. A tenant chooses the names of its cgroups,
 * and the completion runs as root: no shell may ever evaluate such a name, or take it for an option.
 */
const LIST_CONTAINERS =
  "vprocfs ls 2>/dev/null | awk 'NR > 1 && $2 ~ /^[A-Za-z0-9_.:@\\/][A-Za-z0-9_.:@\\/-]*$/ { print $2 }'";

/** Every option that takes one of a few words, once. */
function optionsWithChoices(commands) {
  const all = commands.flatMap((command) => command.options.filter((option) => !option.hidden));
  const byName = new Map(all.map((option) => [option.long, choices(option)]));
  return [...byName].filter(([, words]) => words.length > 0);
}

function bash(commands) {
  const values = optionsWithChoices(commands)
    .map(([name, words]) => `    ${name}) words="${words.join(" ")}" ;;`)
    .join("\n");
  const cases = commands.map((c) => `    ${c.name()}) words="${words(c).join(" ")}" ;;`).join("\n");
  return `# bash completion for vprocfs
_vprocfs() {
  local current=\${COMP_WORDS[COMP_CWORD]} words= name=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${commands.map((c) => c.name()).join(" ")} --help --version"
  else
    case \${COMP_WORDS[1]} in
${cases}
    esac
    case \${COMP_WORDS[COMP_CWORD - 1]} in
${values}
    esac
    case \${COMP_WORDS[1]}:$current in
    *:-*) ;;
    ${ofContainers(commands)
      .map((name) => `${name}:*`)
      .join(" | ")})
      # Not by compgen -W, which runs the commands in its words.
      while IFS= read -r name; do
        [[ $name != "$current"* ]] || COMPREPLY+=("$name")
      done < <(${LIST_CONTAINERS})
      return ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _vprocfs vprocfs
`;
}

const quoted = (text) => text.replaceAll("'", "’").replaceAll(/[[\]:]/g, " ");

function zsh(commands) {
  const list = commands.map((c) => `    '${c.name()}:${quoted(c.summary())}'`).join("\n");
  const cases = commands
    .map((c) => {
      const options = c.options
        .filter((option) => !option.hidden)
        .map((option) => {
          const words = choices(option);
          const values = words.length > 0 ? `(${words.join(" ")})` : "_files";
          const value = option.required || option.optional ? `:value:${values}` : "";
          return `'${option.long ?? option.short}[${quoted(option.description)}]${value}'`;
        });
      const operand = takesContainer(c) ? "container:_vprocfs_containers" : "file:_files";
      return `    ${c.name()}) _arguments ${options.join(" ")} '*:${operand}' ;;`;
    })
    .join("\n");
  return `#compdef vprocfs
_vprocfs_containers() {
  compadd -- \${(f)"$(${LIST_CONTAINERS})"}
}
_vprocfs() {
  local -a commands=(
${list}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
  else
    case $words[2] in
${cases}
    esac
  fi
}
_vprocfs "$@"
`;
}

function fishValue(option) {
  const words = choices(option);
  if (words.length > 0) {
    return `-xa '${words.join(" ")}' `;
  }
  return option.required || option.optional ? "-r " : "";
}

function fish(commands) {
  const plain = (text) => text.replaceAll("\\", "\\\\").replaceAll("'", "\\'");
  const lines = commands.flatMap((command) => [
    `complete -c vprocfs -n __fish_use_subcommand -a ${command.name()} -d '${plain(command.summary())}'`,
    ...command.options
      .filter((option) => !option.hidden && option.long)
      .map(
        (option) =>
          `complete -c vprocfs -n '__fish_seen_subcommand_from ${command.name()}' -l ${option.long.slice(2)} ${fishValue(option)}-d '${plain(option.description)}'`,
      ),
  ]);
  const list = LIST_CONTAINERS.replaceAll("'", '"').replaceAll("$", "\\$");
  const containers = `complete -c vprocfs -n '__fish_seen_subcommand_from ${ofContainers(commands).join(" ")}' -fa '(${list})'`;
  return `# fish completion for vprocfs\n${[...lines, containers].join("\n")}\n`;
}

/** Path in the package to text. */
export async function completions() {
  const commands = visible(await program());
  return {
    "usr/share/bash-completion/completions/vprocfs": bash(commands),
    "usr/share/zsh/vendor-completions/_vprocfs": zsh(commands),
    "usr/share/fish/vendor_completions.d/vprocfs.fish": fish(commands),
  };
}
