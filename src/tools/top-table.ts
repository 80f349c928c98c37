import { alignedLines, GAP, shortened, widthOf } from "../columns.js";
import { formatBytes, printable, shortName } from "../text.js";
import type { Activity } from "./rates.js";

interface Column {
  readonly key: string;
  readonly head: string;
  /** If there is too little room, columns with the highest number are left out first; those with 1 never. */
  readonly importance: number;
  readonly sort: (activity: Activity) => number | string | undefined;
  readonly show: (activity: Activity) => string;
}

const UNKNOWN = "-";

function percent(value: number | undefined): string {
  return value === undefined ? UNKNOWN : `${(value * 100).toFixed(value < 0.0995 ? 1 : 0)}%`;
}

/** "1.5G": formatBytes in four or five columns. */
function short(bytes: number | undefined): string {
  if (bytes === undefined) {
    return UNKNOWN;
  }
  const [number = "0", unit = "B"] = formatBytes(bytes).split(" ");
  return `${number}${unit === "B" ? "" : unit[0]}`;
}

function count(value: number | undefined, digits = 0): string {
  return value === undefined ? UNKNOWN : value.toFixed(digits);
}

const AGES: readonly (readonly [unit: string, seconds: number])[] = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
];

/** "3 5m": the number of kills, and the age of the last one. */
function kills(value: number | undefined, ago: number | undefined): string {
  if (value === undefined || ago === undefined) {
    return count(value);
  }
  const [unit, seconds] = AGES.find(([, least]) => ago >= least) ?? ["s", 1];
  return `${value} ${Math.floor(ago / seconds)}${unit}`;
}

function pair(used: number | undefined, total: number | undefined): string {
  if (used === undefined) {
    return UNKNOWN;
  }
  return total === undefined ? short(used) : `${short(used)}/${short(total)}`;
}

function nameOf({ container, givenName }: Activity): string {
  return givenName === undefined ? shortName(container.name) : printable(givenName);
}

/** All columns, in their order from left to right. */
const COLUMNS: readonly Column[] = [
  {
    key: "name",
    head: "NAME",
    importance: 1,
    sort: (activity) => nameOf(activity),
    show: (activity) => nameOf(activity),
  },
  {
    key: "cpu",
    head: "CPU",
    importance: 1,
    sort: ({ cpu }) => cpu,
    show: ({ cpu }) => percent(cpu),
  },
  {
    key: "throttled",
    head: "THROTTLED",
    importance: 2,
    sort: ({ throttled }) => throttled,
    show: ({ throttled }) => percent(throttled),
  },
  {
    key: "memory",
    head: "MEM",
    importance: 1,
    sort: ({ memory }) => memory,
    show: ({ memory }) => percent(memory),
  },
  {
    key: "used",
    head: "USED",
    importance: 2,
    sort: ({ memoryUsed }) => memoryUsed,
    show: ({ memoryUsed, memoryTotal }) => pair(memoryUsed, memoryTotal),
  },
  {
    key: "swap",
    head: "SWAP",
    importance: 3,
    sort: ({ swapUsed }) => swapUsed,
    show: ({ swapUsed, swapTotal }) => pair(swapUsed, swapTotal),
  },
  {
    key: "pressure",
    head: "PSI",
    importance: 3,
    sort: ({ pressure }) => pressure,
    show: ({ pressure }) => percent(pressure),
  },
  {
    key: "load",
    head: "LOAD",
    importance: 3,
    sort: ({ load }) => load,
    show: ({ load }) => count(load, 2),
  },
  {
    key: "oom",
    head: "OOM",
    importance: 2,
    sort: ({ oomKills }) => oomKills,
    show: ({ oomKills, oomAgo }) => kills(oomKills, oomAgo),
  },
  {
    key: "reads",
    head: "REQ/S",
    importance: 3,
    sort: ({ requests }) => requests,
    show: ({ requests }) => count(requests),
  },
  {
    key: "disk-read",
    head: "READ/S",
    importance: 4,
    sort: ({ read }) => read,
    show: ({ read }) => short(read),
  },
  {
    key: "disk-write",
    head: "WRITE/S",
    importance: 4,
    sort: ({ written }) => written,
    show: ({ written }) => short(written),
  },
  {
    key: "runtime",
    head: "RUNTIME",
    importance: 4,
    sort: ({ container }) => container.runtime,
    show: ({ container }) => container.runtime || UNKNOWN,
  },
  {
    key: "id",
    head: "ID",
    importance: 4,
    sort: ({ container }) => container.id,
    show: ({ container }) => container.id,
  },
];

export const SORT_KEYS = COLUMNS.map(({ key }) => key);

/** Orders numbers from high to low and text alphabetically; unknown values come last. */
function compare(a: number | string | undefined, b: number | string | undefined): number {
  if (a === undefined || b === undefined) {
    return Number(a === undefined) - Number(b === undefined);
  }
  return typeof a === "number" && typeof b === "number"
    ? b - a
    : String(a).localeCompare(String(b));
}

export interface Order {
  readonly sort: string;
  readonly reverse: boolean;
  /** Part of a name, an id or a runtime. */
  readonly filter: string;
}

/** The rows that match the filter, in order. */
export function arranged(activities: readonly Activity[], order: Order): Activity[] {
  const wanted = order.filter.toLowerCase();
  const column = COLUMNS.find(({ key }) => key === order.sort);
  const kept = activities.filter(({ container, givenName = "" }) =>
    [container.name, container.id, container.runtime, givenName].some((text) =>
      text.toLowerCase().includes(wanted),
    ),
  );
  kept.sort(
    (a, b) =>
      compare(column?.sort(a), column?.sort(b)) ||
      compare(a.container.name, b.container.name) ||
      compare(a.container.id, b.container.id),
  );
  return order.reverse ? kept.reverse() : kept;
}

/**
 * Names are cut, to MIN_NAME_WIDTH at least, before columns are left out; they are never longer than
 * MAX_NAME_WIDTH.
 */
const MIN_NAME_WIDTH = 12;
const MAX_NAME_WIDTH = 40;

function shownColumns(rows: readonly Activity[], width: number): readonly Column[] {
  const widths = new Map(
    COLUMNS.map((column) => {
      const lengths = rows.map((row) => widthOf(column.show(row)));
      const longest = Math.max(column.head.length, ...lengths);
      return [column, column.key === "name" ? Math.min(longest, MIN_NAME_WIDTH) : longest] as const;
    }),
  );
  const total = (columns: readonly Column[]): number =>
    columns.reduce((sum, column) => sum + (widths.get(column) ?? 0) + GAP, -GAP);
  let columns = COLUMNS;
  while (total(columns) > width) {
    const least = Math.max(...columns.map(({ importance }) => importance));
    const last = columns.findLast(({ importance }) => importance === least);
    if (least === 1) {
      break;
    }
    columns = columns.filter((column) => column !== last);
  }
  return columns;
}

/** The table in lines of at most `width`; columns that do not fit are left out. */
export function topTable(rows: readonly Activity[], width: number): string[] {
  const columns = shownColumns(rows, width);
  const cells = rows.map((row) => columns.map((column) => column.show(row)));
  const others = columns.slice(1).reduce((sum, { head }, index) => {
    const lengths = cells.map((row) => widthOf(row[index + 1] ?? ""));
    return sum + GAP + Math.max(head.length, ...lengths);
  }, 0);
  const room = Math.min(MAX_NAME_WIDTH, Math.max(MIN_NAME_WIDTH, width - others));
  return alignedLines(
    [
      columns.map(({ head }) => head),
      ...cells.map(([name = "", ...rest]) => [shortened(name, room), ...rest]),
    ],
    columns.map(({ key }) => (["name", "runtime", "id"].includes(key) ? "left" : "right")),
  );
}
