/*
 * System calls that the seccomp agent works on (native/seccomp): the kernel hands each over once only,
 * into memory that outlives the worker. A worker's threads receive calls, put them aside until their
 * tenant's writer is free, give them to a writer, or block them until a log is added to; it may be killed
 * between any two of its writes, and the next one takes up what is there. takeover-model.long.test.ts has
 * spin check it, and that it finds what once lost calls.
 *
 * Where it is in the code: places are those of pending_calls.{h,cc}, adopt() is leftovers() there, resume()
 * the beginning of Agent::run() in agent.cc; answer() and receive() are in calls.cc, start_write() and
 * finish() in writing.cc, block() and take_blocked() in blocked_calls.cc. All sources are one tenant's.
 *
 * SETTLE_ALL: who takes over empties every place, not only those that were in use (it did until 77c924e).
 * NO_RESERVE: places are given until there are none, so that a worker that ends may leave more calls than
 * the next one has places for (it was so until this model found it).
 */

#ifndef CALLS
#define CALLS 3
#endif
#ifndef KILLS
#define KILLS 2
#endif
#define THREADS 2
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef PARKED
#define PARKED 5
#endif
#define BLOCKED (1 + WRITERS)

/* So many places stay free for what threads work on when a worker ends; more of them when a call is received,
 * so that each thread can put one aside. What is with writers then has room among what is blocked. */
#ifdef NO_RESERVE
#define RESERVE 0
#define ROOM THREADS
#define BLOCKED_RESERVE 0
#else
#define RESERVE THREADS
#define ROOM (2 * THREADS)
#define BLOCKED_RESERVE WRITERS
#endif

mtype:call = { queued, received, answered };

/* The kernel. */
mtype:call call[CALLS];

/* The memory that outlives workers: numbers of calls from 1 on, 0 for none. */
byte in_flight[THREADS], parked[PARKED], writer_slot[WRITERS], blocked[BLOCKED];

/* The worker's own. */
byte generation = 0;
bool running;
bool waiting[PARKED]; /* places that the tenant's turn has */
bool wakeable[BLOCKED];   /* places that logs wake */
bool busy[WRITERS], done[WRITERS];
byte left[PARKED];
bool blocked_left[BLOCKED];
byte kills = 0;

#define all_answered (call[0] == answered && call[CALLS - 2] == answered && call[CALLS - 1] == answered)
#define any_queued (call[0] == queued || call[CALLS - 2] == queued || call[CALLS - 1] == queued)
#define any_waiting \
  (waiting[0] || waiting[1] || waiting[2] || waiting[PARKED - 2] || waiting[PARKED - 1])
#define any_done (done[0] || done[WRITERS - 1])
/* One tenant has one writer; with two of them there are two tenants, and the calls are anybody's. */
#define taken (busy[0] && busy[WRITERS - 1])

/* A call that was received and not answered is in a place: else nobody ever answers it. */
inline expect_kept(c) {
  if
  :: c != 0 && call[c - 1] == received ->
       n = 0;
       for (k : 0 .. THREADS - 1) { n = n + (in_flight[k] == c -> 1 : 0) }
       for (k : 0 .. PARKED - 1) { n = n + (parked[k] == c -> 1 : 0) }
       for (k : 0 .. WRITERS - 1) { n = n + (writer_slot[k] == c -> 1 : 0) }
       for (k : 0 .. BLOCKED - 1) { n = n + (blocked[k] == c -> 1 : 0) }
       assert(n > 0);
       n = 0; k = 0
  :: else
  fi
}

/* What the worker knows goes with it; writers end with it, too. A new generation is the end of all its
 * threads. */
inline die() {
  kills++; running = false;
  for (k : 0 .. PARKED - 1) { waiting[k] = false; left[k] = 0 }
  for (k : 0 .. BLOCKED - 1) { wakeable[k] = false; blocked_left[k] = false }
  for (k : 0 .. WRITERS - 1) { busy[k] = false; done[k] = false }
  generation++
}

/* Between any two writes. */
inline may_die() {
  if
  :: true
  :: kills < KILLS -> die()
  fi
}

inline clear(place) {
  may_die();
  was = place; place = 0; expect_kept(was); was = 0
}

/* To the first place that is free; `p` is which, PARKED when there is none but for the reserve. */
inline park(c, reserve) {
  for (k : 0 .. PARKED - 1) { n = n + (parked[k] == 0 -> 1 : 0) }
  k = 0; p = PARKED;
  if
  :: n > reserve ->
       p = 0;
       do
       :: parked[p] != 0 -> p++
       :: else -> break
       od;
       parked[p] = c
  :: else
  fi;
  n = 0
}

/* The same among those that are blocked. */
inline reserve_blocked(c, reserve) {
  for (k : 0 .. BLOCKED - 1) { n = n + (blocked[k] == 0 -> 1 : 0) }
  k = 0; w = BLOCKED;
  if
  :: n > reserve ->
       w = 0;
       do
       :: blocked[w] != 0 -> w++
       :: else -> break
       od;
       blocked[w] = c
  :: else
  fi;
  n = 0
}

inline send() {
  may_die();
  if
  :: call[in_flight[me] - 1] == received -> call[in_flight[me] - 1] = answered
  :: else /* ENOENT: a worker before has answered it. */
  fi;
  written = false;
  clear(in_flight[me])
}

inline start_write() {
  if
  :: taken ->
       park(in_flight[me], RESERVE);
       if
       :: p < PARKED -> clear(in_flight[me]); waiting[p] = true
       :: else -> send() /* EAGAIN */
       fi
  :: else ->
       w = (writer_slot[0] == 0 -> 0 : WRITERS - 1);
       if
       :: writer_slot[w] == 0 -> writer_slot[w] = in_flight[me]; clear(in_flight[me]); busy[w] = true
       :: else -> send()
       fi
  fi;
  p = 0; w = 0
}

inline block() {
  reserve_blocked(in_flight[me], BLOCKED_RESERVE);
  if
  :: w < BLOCKED -> clear(in_flight[me]); wakeable[w] = true
  :: else -> send() /* EINTR */
  fi;
  w = 0
}

inline take_blocked() {
  w = 0;
  do
  :: !wakeable[w] -> w++
  :: else -> break
  od;
  in_flight[me] = blocked[w]; clear(blocked[w]); wakeable[w] = false; w = 0
}

inline end_turn() {
  do
  :: !waiting[p] -> p++
  :: else -> break
  od;
  waiting[p] = false; in_flight[me] = parked[p]; clear(parked[p]); p = 0
}

/* What a writer has done: the answer is sent next. */
inline finish() {
  w = (done[0] -> 0 : WRITERS - 1);
  in_flight[me] = writer_slot[w]; clear(writer_slot[w]); done[w] = false; busy[w] = false; w = 0; written = true
}

inline look_for_room() {
  for (k : 0 .. PARKED - 1) { n = n + (parked[k] == 0 -> 1 : 0) }
  k = 0; roomy = (n > ROOM); n = 0
}

inline receive() {
  roomy = false;
  for (k : 0 .. CALLS - 1) {
    if
    :: call[k] == queued -> call[k] = received; in_flight[me] = k + 1; break
    :: else
    fi
  };
  k = 0
}

/* Before threads: what threads and writers worked on joins what was put aside. */
inline adopt() {
  for (i : 0 .. THREADS - 1) {
    if
    :: in_flight[i] != 0 -> park(in_flight[i], 0); clear(in_flight[i])
    :: else
    fi
  }
  for (i : 0 .. WRITERS - 1) {
    if
    :: writer_slot[i] != 0 ->
         park(writer_slot[i], 0);
         if
#ifndef NO_RESERVE
         :: p == PARKED -> reserve_blocked(writer_slot[i], 0)
#endif
         :: else
         fi;
         clear(writer_slot[i])
    :: else
    fi
  }
  for (i : 0 .. PARKED - 1) { left[i] = parked[i] }
  for (i : 0 .. BLOCKED - 1) { blocked_left[i] = blocked[i] != 0 }
  i = 0; p = 0; w = 0
}

#define some_left (blocked_left[0] || blocked_left[1] || blocked_left[BLOCKED - 1])
#define idle (in_flight[me] == 0 && i == PARKED && !(me == 0 && some_left))

proctype Thread(byte me) {
  byte mine = 0, p = 0, w = 0, i = 0, was = 0, n = 0, k = 0;
  bool roomy = false, written = false, resumed = false;
again:
  {
    if
    :: me == 0 -> atomic { adopt(); running = true }
    :: me != 0 -> running; i = PARKED
    fi;
end:
  do
    /* The first thread's, while others receive what is new: what was put aside before, and blocked. */
    :: atomic { in_flight[me] == 0 && i < PARKED && left[i] == 0 ->
#ifdef SETTLE_ALL
         clear(parked[i]);
#endif
         i++ }
    :: atomic { in_flight[me] == 0 && i < PARKED && left[i] != 0 && !resumed ->
         resumed = true; in_flight[me] = left[i] }
    :: atomic { in_flight[me] == 0 && i < PARKED && resumed -> clear(parked[i]); resumed = false; i++ }
    :: atomic { me == 0 && in_flight[me] == 0 && i == PARKED && some_left ->
         do
         :: !blocked_left[w] -> w++
         :: else -> break
         od;
         blocked_left[w] = false; in_flight[me] = blocked[w]; clear(blocked[w]); w = 0 }
    /* The work of every thread. */
    :: atomic { idle && any_queued && !roomy -> look_for_room() }
    :: atomic { idle && roomy -> receive() }
    :: atomic { idle && any_waiting && !taken -> end_turn() }
    :: atomic { idle && any_done -> finish() }
    :: atomic { idle && (wakeable[0] || wakeable[1] || wakeable[BLOCKED - 1]) -> take_blocked() }
    /* What becomes of the thread's call. What changes shared places is done under a mutex: each of these is
     * one step to other threads, but not to who kills the worker. */
    :: atomic { in_flight[me] != 0 -> send() }
    :: atomic { in_flight[me] != 0 && !written -> start_write() }
    :: atomic { in_flight[me] != 0 && !written -> block() }
    :: atomic { kills < KILLS -> die() }
    od
  } unless {
    atomic {
      mine != generation ->
      mine = generation; p = 0; w = 0; i = 0; was = 0; n = 0; k = 0;
      roomy = false; written = false; resumed = false;
      goto again
    }
  }
}

proctype Writer(byte me) {
end:
  do
  :: atomic { busy[me] && !done[me] -> done[me] = true }
  od
}

init {
  byte i;
  atomic {
    for (i : 0 .. CALLS - 1) { call[i] = queued }
    for (i : 0 .. THREADS - 1) { run Thread(i) }
    for (i : 0 .. WRITERS - 1) { run Writer(i) }
  }
  /* Where nothing more can happen and a call waits, this is no end. */
  all_answered
}
