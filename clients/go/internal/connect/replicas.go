package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// A replica is avoided for it after it has not answered. The time doubles until it answers.
	firstAvoidTime = time.Second
	lastAvoidTime  = 30 * time.Second
	// Between two look-ups of a name.
	lookupInterval     = 30 * time.Second
	lookupAfterFailure = time.Second
	lookupTimeout      = 5 * time.Second
)

// replica is one endpoint, and whether it answers.
type replica struct {
	endpoint endpoint
	pool     *pool

	mutex      sync.Mutex
	avoidUntil time.Time
	avoidTime  time.Duration
	// isUntrusted tells whether it had a certificate that is not trusted when it was connected to last.
	isUntrusted bool
}

func (r *replica) answered() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.avoidUntil, r.avoidTime, r.isUntrusted = time.Time{}, 0, false
}

func (r *replica) trust(isUntrusted bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.isUntrusted = isUntrusted
}

func (r *replica) isTrusted() bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return !r.isUntrusted
}

// didNotAnswer prefers other replicas for a while. Calls that fail at the same time count as one.
func (r *replica) didNotAnswer() {
	now := time.Now()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if now.Before(r.avoidUntil) {
		return
	}
	r.avoidTime = min(max(2*r.avoidTime, firstAvoidTime), lastAvoidTime)
	r.avoidUntil = now.Add(time.Duration(float64(r.avoidTime) * (0.75 + 0.25*rand.Float64())))
}

func (r *replica) isAvoided(now time.Time) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return now.Before(r.avoidUntil)
}

// replicas are all endpoints that an application's addresses stand for.
type replicas struct {
	addresses []Address
	names     []*name
	makePool  func(endpoint) *pool

	mutex sync.Mutex
	all   []*replica // Empty as long as all addresses are names that were not looked up yet.
	// By method. Each takes turns by itself: otherwise a program that opens and saves by turns would send every open to
	// one of two replicas, and every save to the other.
	turns map[string]uint32
}

func newReplicas(addresses []Address, makePool func(endpoint) *pool) *replicas {
	r := &replicas{addresses: addresses, makePool: makePool, turns: map[string]uint32{}}
	for _, address := range addresses {
		if address.isName() {
			r.names = append(r.names, &name{address: address})
		}
	}
	r.update()
	return r
}

// next returns the replica for a call, which is one that answers if there is one, and none of tried if there is another.
func (r *replicas) next(method string, tried []*replica) *replica {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if len(r.all) == 1 {
		return r.all[0]
	}
	var untried, answering []*replica
	now := time.Now()
	for _, each := range r.all {
		if slices.Contains(tried, each) {
			continue
		}
		untried = append(untried, each)
		if !each.isAvoided(now) {
			answering = append(answering, each)
		}
	}
	if len(answering) == 0 {
		answering = untried
	}
	if len(answering) == 0 {
		return nil
	}
	turn, isKnown := r.turns[method]
	if !isKnown {
		turn = rand.Uint32N(1024)
	}
	r.turns[method] = turn + 1
	return answering[int(turn)%len(answering)]
}

func (r *replicas) count() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return len(r.all)
}

// didNotAnswer prefers other replicas for a while, and has names looked up soon: their addresses may have changed.
func (r *replicas) didNotAnswer(failed *replica) {
	failed.didNotAnswer()
	for _, name := range r.names {
		name.mutex.Lock()
		name.hasFailed = true
		name.mutex.Unlock()
	}
}

// notConnected notes that a replica cannot be reached, and returns the failure of a call that has no other one.
func (r *replicas) notConnected(failed *replica, err error) *Failed {
	var invalid *tls.CertificateVerificationError
	isUntrusted := errors.As(err, &invalid)
	failed.trust(isUntrusted)
	r.didNotAnswer(failed)
	message := fmt.Sprintf("cannot connect to %s: %v", failed.endpoint, err)
	if isUntrusted {
		message += "; set CAFile to the authority of the service's certificate, which has to name " + failed.endpoint.tlsName
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return &Failed{
		Code: "UNAVAILABLE", Message: message, Cause: err, IsLasting: !slices.ContainsFunc(r.all, (*replica).isTrusted),
	}
}

// lookUp looks up the names that are due. It waits only while there is no address at all, and fails if there is none in time.
func (r *replicas) lookUp(ctx context.Context, end time.Time) error {
	var running []<-chan struct{}
	for _, name := range r.names {
		if r.count() == 0 || name.isDue() {
			running = append(running, name.begin(r.update))
		}
	}
	if r.count() > 0 {
		return nil
	}
	done := make(chan struct{}, len(running))
	for _, each := range running {
		go func() {
			<-each
			done <- struct{}{}
		}()
	}
	var err error
	for range running {
		if err = wait(ctx, done, end); err != nil || r.count() > 0 {
			break
		}
	}
	if r.count() > 0 {
		return nil
	}
	if err == nil {
		err = r.names[0].lastError()
	}
	return fmt.Errorf("cannot look up %q: %w", r.names[0].address.Host, err)
}

func wait(ctx context.Context, running <-chan struct{}, end time.Time) error {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	select {
	case <-running:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return context.DeadlineExceeded
	}
}

// update brings the endpoints up to date. Replicas that still exist keep their connections.
func (r *replicas) update() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var wanted []endpoint
	for _, address := range r.addresses {
		ips := []string{address.Host}
		for _, name := range r.names {
			if name.address == address {
				ips = name.current()
			}
		}
		for _, ip := range ips {
			if found := address.endpoint(ip); !slices.Contains(wanted, found) {
				wanted = append(wanted, found)
			}
		}
	}
	known := r.all
	r.all = nil
	for _, each := range wanted {
		at := slices.IndexFunc(known, func(old *replica) bool { return old.endpoint == each })
		if at >= 0 {
			r.all = append(r.all, known[at])
		} else {
			r.all = append(r.all, &replica{endpoint: each, pool: r.makePool(each)})
		}
	}
	for _, old := range known {
		if !slices.Contains(r.all, old) {
			old.pool.close()
		}
	}
}

func (r *replicas) close() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, each := range r.all {
		each.pool.close()
	}
}

// name is a name among the addresses.
type name struct {
	address Address

	mutex     sync.Mutex
	ips       []string
	attempt   time.Time // Of the last look-up.
	hasFailed bool
	err       error
	running   chan struct{} // The look-up that is under way.
}

// isDue tells whether to look the name up again: now and then, and sooner if a call or the look-up has failed.
func (n *name) isDue() bool {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	interval := lookupInterval
	if n.hasFailed || len(n.ips) == 0 {
		interval = lookupAfterFailure
	}
	return time.Since(n.attempt) >= interval
}

// begin looks the name up, unless it does so already. It returns what is closed at the end.
func (n *name) begin(update func()) <-chan struct{} {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.running == nil {
		n.running = make(chan struct{})
		n.attempt = time.Now()
		go n.lookUp(n.running, update)
	}
	return n.running
}

func (n *name) lookUp(done chan struct{}, update func()) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", n.address.Host)
	var ips []string
	for _, ip := range found {
		ips = append(ips, ip.Unmap().String())
	}
	slices.Sort(ips)
	n.mutex.Lock()
	n.err = err
	// The addresses of the last look-up stay if this one fails.
	if len(ips) > 0 {
		n.ips, n.hasFailed = ips, false
	}
	n.running = nil
	n.mutex.Unlock()
	update()
	close(done)
}

func (n *name) current() []string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.ips
}

func (n *name) lastError() error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.err
}
