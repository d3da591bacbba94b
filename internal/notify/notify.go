package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"sluice.dev/sluice/internal/release"
)

// Event is a decision as it is told outside.
type Event struct {
	Model   string    `json:"model"`
	Release uint32    `json:"release"`
	Number  uint64    `json:"number"` // of the decision within the release
	Step    string    `json:"step"`
	What    string    `json:"what"`
	From    string    `json:"from"` // candidate's share before, like 20%
	To      string    `json:"to"`   // and after
	Phase   string    `json:"phase"`
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"`
}

// Receiver is one webhook, its secrets resolved.
type Receiver struct {
	Name   string // for logs and errors, which never show the URL
	URL    string
	Secret []byte // empty: messages are not signed
	Format release.NotifyFormat
	On     []string // the What of events that are told
}

// Options of a sender. Receivers are needed.
type Options struct {
	Receivers []Receiver
	Transport http.RoundTripper // default: http.DefaultTransport
	Log       *slog.Logger
	Now       func() time.Time // default: time.Now
	Attempt   time.Duration    // that one attempt may take; default 10 s
	Patience  time.Duration    // that one call of Notify tries; default 1 min
	MaxAge    time.Duration    // after which an event is given up; default 24 h
	FirstWait time.Duration    // before the second attempt, doubled until 15 s; default 500 ms
}

// Sender posts events. Safe for concurrent use.
type Sender struct {
	o      Options
	client *http.Client

	mu   sync.Mutex
	done map[string]bool // receiver and key of what needs no further attempt
	old  []string        // keys of done, oldest first
}

// New returns a sender, or an error of kind invalid that names the receiver whose address is none.
func New(o Options) (*Sender, error) {
	for _, r := range o.Receivers {
		if err := release.CheckWebhook(r.URL); err != nil {
			return nil, release.Invalid("set up notifications", "%s: %v", r.Name, err)
		}
	}
	setDefault(&o.Attempt, 10*time.Second)
	setDefault(&o.Patience, time.Minute)
	setDefault(&o.MaxAge, 24*time.Hour)
	setDefault(&o.FirstWait, 500*time.Millisecond)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	return &Sender{
		o: o, done: map[string]bool{},
		client: &http.Client{
			Transport:     o.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Notify tells every receiver that asked for such events, at the same time. It returns nil once each has taken it or
// was given up; then repeating the key sends nothing more as long as this process remembers it. Any error says that
// a receiver is still owed the event: call again with the same key. It is ctx's error when ctx ends.
func (s *Sender) Notify(ctx context.Context, key string, e Event) error {
	patient, cancel := context.WithTimeout(ctx, s.o.Patience)
	defer cancel()
	faults := make([]error, len(s.o.Receivers))
	var wg sync.WaitGroup
	for i := range s.o.Receivers {
		r := &s.o.Receivers[i]
		if !slices.Contains(r.On, e.What) {
			continue
		}
		wg.Go(func() { faults[i] = s.deliver(patient, i, key, &e) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(faults...)
}

// deliver brings one event to one receiver.
func (s *Sender) deliver(ctx context.Context, i int, key string, e *Event) error {
	r := &s.o.Receivers[i]
	id := fmt.Sprintf("%d %s", i, key)
	if s.isDone(id) {
		return nil
	}
	body, err := encode(r.Format, e)
	if err != nil {
		return release.Internal("notify", err, "the event can't be encoded")
	}
	err = s.persist(ctx, r, key, body)
	late := s.o.Now().Sub(e.Time) > s.o.MaxAge
	switch refused := (*refusal)(nil); {
	case err == nil:
		s.o.Log.Debug("notified", "receiver", r.Name, "key", key)
	case errors.As(err, &refused) || late:
		s.o.Log.Error("a notification is given up", "receiver", r.Name, "key", key, "error", err)
	default:
		return release.Unavailable("notify", err, "%s does not take it", r.Name)
	}
	s.setDone(id)
	return nil
}

// persist attempts until the receiver takes the message, refuses it for good, or ctx ends.
func (s *Sender) persist(ctx context.Context, r *Receiver, key string, body []byte) error {
	for wait := s.o.FirstWait; ; wait = min(2*wait, 15*time.Second) {
		after, err := s.attempt(ctx, r, key, body)
		if refused := (*refusal)(nil); err == nil || errors.As(err, &refused) {
			return err
		}
		s.o.Log.Debug("a notification is not taken, trying again", "receiver", r.Name, "key", key, "error", err)
		t := time.NewTimer(max(wait, after))
		select {
		case <-ctx.Done():
			t.Stop()
			return err
		case <-t.C:
		}
	}
}

// remembered bounds what is known of the past.
const remembered = 4096

func (s *Sender) isDone(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done[id]
}

func (s *Sender) setDone(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done[id] {
		return
	}
	s.done[id] = true
	if s.old = append(s.old, id); len(s.old) > remembered {
		delete(s.done, s.old[0])
		s.old = s.old[1:]
	}
}
