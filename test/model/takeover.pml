/*
 * The takeover of docs/design/never-down.md: readers' requests, workers that take and answer them, a keeper
 * that replaces workers, and a service manager that replaces the keeper. Anything may be killed or
 * stopped at any moment, a bounded number of times. takeover-model.long.test.ts has spin check it.
 *
 * Where it is in the code: the keeper is native/keeper/{supervisor,succession}.cc, the worker
 * native/fuse/{keeper_link,engine}.cc, the store native/keeper/store.cc; the queue is the kernel's
 * (fs/fuse/dev.c), in which FUSE_NOTIFY_RESEND puts back all that was taken and not answered.
 */

#ifndef REQUESTS
#define REQUESTS 2
#endif
#ifndef KILLS
#define KILLS 2    /* of workers, also by stopping them: a watchdog then kills them */
#endif
#ifndef RELOADS
#define RELOADS 1
#endif
#ifndef RESTARTS
#define RESTARTS 1 /* of the keeper: kills, or restarts in order */
#endif
#define WORKERS 9  /* that are ever started */
#define NOBODY 255

mtype:request = { unasked, queued, taken, answered };
mtype:state = { none, starting, ready, activating, serving, draining, drained };

/* The kernel. */
mtype:request request[REQUESTS];
byte holder[REQUESTS];

/* Workers. Only who is alive and not stopped does anything. */
mtype:state state[WORKERS];
bool alive[WORKERS];
bool stopped[WORKERS];
bool told_activate[WORKERS], told_drain[WORKERS];

/* The keeper. */
bool keeper_alive = false;
byte current = NOBODY, next = NOBODY;
byte started = 0;
bool reloading = false, retried = false, leaving = false;
byte kills = 0, reloads = 0, restarts = 0;

#define writes(w) (alive[w] && (state[w] == activating || state[w] == serving || state[w] == draining))
#define acts(w) (alive[w] && !stopped[w])
#define some_queued (request[0] == queued || request[REQUESTS - 1] == queued)
#define holds(w) ((request[0] == taken && holder[0] == w) || \
  (request[REQUESTS - 1] == taken && holder[REQUESTS - 1] == w))

/* The state memory, and the queue, have one user at a time. */
inline expect_one_writer() {
  byte i, n = 0;
  for (i : 0 .. WORKERS - 1) { n = n + (writes(i) -> 1 : 0) }
  assert(n <= 1)
}

proctype Worker(byte me) {
  byte r;
end:
  do
  :: !alive[me] -> break
  :: atomic { acts(me) && state[me] == starting -> state[me] = ready }
  :: atomic { acts(me) && state[me] == ready && told_activate[me] ->
       state[me] = activating; expect_one_writer() }
  :: atomic { acts(me) && state[me] == activating ->
       /* FUSE_NOTIFY_RESEND: before it takes any. */
       for (r : 0 .. REQUESTS - 1) {
         if
         :: request[r] == taken -> assert(holder[r] != me); request[r] = queued; holder[r] = NOBODY
         :: else
         fi
       }
       state[me] = serving }
  :: atomic { acts(me) && state[me] == serving && !told_drain[me] && some_queued ->
       for (r : 0 .. REQUESTS - 1) {
         if
         :: request[r] == queued -> request[r] = taken; holder[r] = me; break
         :: else
         fi
       } }
  :: atomic { acts(me) && (state[me] == serving || state[me] == draining) && holds(me) ->
       for (r : 0 .. REQUESTS - 1) {
         if
         :: request[r] == taken && holder[r] == me -> request[r] = answered; holder[r] = NOBODY; break
         :: else
         fi
       } }
  :: atomic { acts(me) && state[me] == serving && told_drain[me] -> state[me] = draining }
  :: atomic { acts(me) && state[me] == draining && !holds(me) -> state[me] = drained }
  od
}

inline start(slot) {
  assert(started < WORKERS);
  slot = started; started++;
  state[slot] = starting; alive[slot] = true;
  run Worker(slot)
}

inline end_worker(w) {
  if
  :: w != NOBODY -> alive[w] = false; state[w] = none
  :: else
  fi
}

#define ended(w) (w != NOBODY && !alive[w])
#define is(w, s) (w != NOBODY && alive[w] && state[w] == s)

/* One loop in which nothing blocks. What a worker says is read from its state: packets are not lost
 * and are read before its end is noticed, or do not matter then. */
proctype Keeper() {
  byte r;
end:
  do
  :: !keeper_alive -> break
  /* on_child, and abandon_unkillable: killed is as good as ended. */
  :: atomic { keeper_alive && ended(current) -> current = NOBODY }
  :: atomic { keeper_alive && ended(next) ->
       next = NOBODY;
       if
       /* retry_reload(): once. */
       :: reloading && !retried && !leaving && is(current, serving) && !told_drain[current] ->
            retried = true; start(next)
       :: else -> reloading = false
       fi }
#ifdef REFUSE
  /* refuse(): readers that have waited for longer than patience get an error. Not while one serves. */
  :: atomic { keeper_alive && !leaving && !is(current, serving) && some_queued ->
       for (r : 0 .. REQUESTS - 1) {
         if
         :: request[r] == queued ->
              assert(holder[r] == NOBODY);
              request[r] = answered; break
         :: else
         fi
       } }
#endif
  /* The watchdog; a start or an activation that takes too long. */
  :: atomic { keeper_alive && current != NOBODY && alive[current] && stopped[current] ->
       end_worker(current) }
  :: atomic { keeper_alive && next != NOBODY && alive[next] && stopped[next] -> end_worker(next) }
  :: atomic { keeper_alive && !leaving && current == NOBODY && next == NOBODY -> start(current) }
  :: atomic { keeper_alive && !leaving && is(current, ready) && !told_activate[current] ->
       told_activate[current] = true }
  /* promote(): never while there is another one that may still write. */
  :: atomic { keeper_alive && !leaving && current == NOBODY && is(next, ready) ->
       current = next; next = NOBODY; reloading = false; told_activate[current] = true }
  :: atomic { keeper_alive && !leaving && is(current, serving) && next == NOBODY -> start(next) }
  /* hedge(), and the quicker of two. */
  :: atomic { keeper_alive && !leaving && is(current, starting) && stopped[current] &&
       next == NOBODY -> start(next) }
  :: atomic { keeper_alive && !leaving && current == NOBODY && is(next, starting) &&
       stopped[next] -> start(current) }
  :: atomic { keeper_alive && !leaving && is(current, starting) && is(next, ready) ->
       end_worker(current); current = next; next = NOBODY; told_activate[current] = true }
  :: atomic { keeper_alive && !leaving && is(current, serving) && !reloading && reloads < RELOADS ->
       reloads++; end_worker(next); next = NOBODY; reloading = true; retried = false; start(next) }
  :: atomic { keeper_alive && !leaving && reloading && is(next, ready) && is(current, serving) &&
       !told_drain[current] -> told_drain[current] = true }
  /* hand_over_to_next(): what is left of it is not waited for. */
  :: atomic { keeper_alive && !leaving && is(current, drained) && is(next, ready) ->
       current = next; next = NOBODY; reloading = false; told_activate[current] = true }
  /* The next one died while this one drained for it. */
  :: atomic { keeper_alive && !leaving && is(current, drained) && next == NOBODY ->
       end_worker(current); current = NOBODY }
  /* begin_leave(): systemctl restart. */
  :: atomic { keeper_alive && !leaving && restarts < RESTARTS && current != NOBODY ->
       restarts++; leaving = true; end_worker(next); next = NOBODY;
       if
       :: is(current, serving) -> told_drain[current] = true
       :: else -> end_worker(current)
       fi }
  :: atomic { keeper_alive && leaving && (current == NOBODY || is(current, drained)) ->
       keeper_alive = false }
  od
}

/* KillMode=mixed: nothing of the service is left when the next keeper begins. The store holds the
 * connection and the state memory, and so the queue and who had taken what. */
proctype Manager() {
  byte i;
end:
  do
  :: atomic { !keeper_alive ->
       for (i : 0 .. WORKERS - 1) { alive[i] = false; state[i] = none }
       current = NOBODY; next = NOBODY; reloading = false; leaving = false;
       keeper_alive = true;
       run Keeper() }
  od
}

#define victim(w) (kills < KILLS && w != NOBODY && alive[w] && !stopped[w])

proctype Adversary() {
end:
  do
  :: atomic { victim(current) -> kills++; alive[current] = false; state[current] = none }
  :: atomic { victim(current) -> kills++; stopped[current] = true }
  :: atomic { victim(next) -> kills++; alive[next] = false; state[next] = none }
  :: atomic { victim(next) -> kills++; stopped[next] = true }
  :: atomic { keeper_alive && restarts < RESTARTS -> restarts++; keeper_alive = false }
  :: kills == KILLS && restarts == RESTARTS -> break
  od
}

proctype Readers() {
  byte r;
  for (r : 0 .. REQUESTS - 1) {
    atomic { request[r] == unasked -> request[r] = queued; holder[r] = NOBODY }
  }
}

init {
  byte i;
  atomic {
    for (i : 0 .. REQUESTS - 1) { request[i] = unasked; holder[i] = NOBODY }
    for (i : 0 .. WORKERS - 1) { state[i] = none }
    run Manager(); run Adversary(); run Readers()
  }
}

/* Whoever asked gets an answer, once the killing ends. */
#define all_answered (request[0] == answered && request[REQUESTS - 1] == answered)
ltl answers { <> all_answered }
