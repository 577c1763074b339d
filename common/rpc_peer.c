#include "common/rpc_peer.h"

#include "common/crypto.h"

uint32_t rpc_random(void)
{
	static _Thread_local uint64_t state;

	if (!state) {
		random_bytes(&state, sizeof(state));
		state |= 1;
	}
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

enum class { CLASS_GOOD, CLASS_AVOID, CLASS_DRAINING, CLASS_EJECTED, CLASS_NONE };

static enum class class_of(const struct rpc_peer_state *p, bool avoid, int64_t now)
{
	if (atomic_load(&p->gone) || atomic_load(&p->pipes) <= 0 || rpc_peer_refusing(p, now))
		return CLASS_NONE;
	if (atomic_load(&p->ejected_until))
		return atomic_load(&p->outstanding) < RPC_EJECTED_TRIALS ? CLASS_EJECTED : CLASS_NONE;
	if (atomic_load(&p->draining_until) > now)
		return CLASS_DRAINING;
	return avoid ? CLASS_AVOID : CLASS_GOOD;
}

int rpc_peer_pick(struct rpc_peer_state *const *peers, size_t n, int avoid, int64_t now)
{
	int best[RPC_PEERS_MAX], n_best = 0, a, b;
	enum class best_class = CLASS_NONE;
	size_t i;

	for (i = 0; i < n && i < RPC_PEERS_MAX; i++) {
		enum class cl = class_of(peers[i], (int)i == avoid, now);

		if (cl == CLASS_NONE || cl > best_class)
			continue;
		if (cl < best_class) {
			best_class = cl;
			n_best = 0;
		}
		best[n_best++] = (int)i;
	}
	if (n_best <= 1)
		return n_best ? best[0] : -1;
	a = (int)(rpc_random() % (uint32_t)n_best);
	b = (int)(rpc_random() % (uint32_t)(n_best - 1));
	b += b >= a;
	return atomic_load(&peers[best[a]]->outstanding) <= atomic_load(&peers[best[b]]->outstanding) ? best[a] : best[b];
}

void rpc_peer_ok(struct rpc_peer_state *p, bool draining, int64_t now)
{
	if (atomic_load(&p->timeouts))
		atomic_store(&p->timeouts, 0);
	if (atomic_load(&p->ejected_until)) {
		atomic_store(&p->ejected_until, 0);
		atomic_store(&p->pause_ms, 0);
	}
	if (draining)
		atomic_store(&p->draining_until, now + RPC_DRAINING_MS);
	else if (atomic_load(&p->draining_until))
		atomic_store(&p->draining_until, 0);
}

void rpc_peer_refused(struct rpc_peer_state *p, int64_t now)
{
	atomic_store(&p->refusing_until, now + RPC_REFUSING_MS);
}

bool rpc_peer_refusing(const struct rpc_peer_state *p, int64_t now)
{
	return atomic_load(&p->refusing_until) > now;
}

void rpc_peer_new(struct rpc_peer_state *p)
{
	atomic_store(&p->timeouts, 0);
	atomic_store(&p->pause_ms, 0);
	atomic_store(&p->ejected_until, 0);
	atomic_store(&p->draining_until, 0);
	atomic_store(&p->refusing_until, 0);
}

bool rpc_peer_timeout(struct rpc_peer_state *p, int64_t waited_ms, int64_t now)
{
	int pause;

	if (waited_ms < RPC_TIMEOUT_COUNTS_MS)
		return false;
	if (atomic_fetch_add(&p->timeouts, 1) + 1 < RPC_EJECT_AFTER)
		return false;
	/* Calls that were already waiting when it was ejected must not lengthen the pause. */
	if (atomic_load(&p->ejected_until) > now)
		return false;
	pause = atomic_load(&p->pause_ms);
	pause = pause ? pause * 2 : RPC_EJECT_MS;
	if (pause > RPC_EJECT_MAX_MS)
		pause = RPC_EJECT_MAX_MS;
	atomic_store(&p->pause_ms, pause);
	atomic_store(&p->ejected_until, now + pause + (int64_t)(rpc_random() % (uint32_t)(pause / 4)));
	return true;
}

bool rpc_peer_probe_due(const struct rpc_peer_state *p, int64_t now)
{
	long long until = atomic_load(&p->ejected_until);

	return until && until <= now && atomic_load(&p->pipes) > 0;
}
