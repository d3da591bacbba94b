package natsstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"sluice.dev/sluice/internal/store"
)

// parallel is how many messages of one request are read at a time.
const parallel = 16

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	if err := store.CheckName("key", key); err != nil {
		return store.Entry{}, err
	}
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	defer cancel()
	e, err := s.get(ctx, s.names.head(key))
	if err != nil {
		return store.Entry{}, fmt.Errorf("key %q: %w", key, err)
	}
	return e, nil
}

func (s *Store) get(ctx context.Context, subject string) (store.Entry, error) {
	m, err := ask(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return s.ctrl.GetLastMsgForSubject(ctx, subject)
	})
	if err != nil {
		return store.Entry{}, translateGet(err)
	}
	key, err := s.names.key(subject)
	if err != nil {
		return store.Entry{}, err
	}
	return s.present(ctx, key, m.Sequence, m)
}

func translateGet(err error) error {
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return store.ErrNotFound
	}
	return translate(err, store.ErrUnavailable)
}

// present turns a head into the entry that it stands for, which lies elsewhere if it was appended.
func (s *Store) present(ctx context.Context, key string, seq uint64, head *jetstream.RawStreamMsg) (store.Entry, error) {
	e := store.Entry{Key: key, Value: head.Data, Revision: store.Revision(seq), Time: head.Time}
	back := head.Header.Get(entryBack)
	if back == "" {
		return e, nil
	}
	n, err := strconv.ParseUint(back, 10, 64)
	if err != nil || n >= seq {
		return store.Entry{}, fmt.Errorf("head %d: %s %q", seq, entryBack, back)
	}
	m, err := ask(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return s.ctrl.GetMsg(ctx, seq-n) })
	if err != nil {
		return store.Entry{}, fmt.Errorf("entry %d of head %d: %w", seq-n, seq, translateGet(err))
	}
	e.Value = m.Data
	return e, nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]store.Entry, error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	subjects, err := s.subjects(ctx, s.names.heads(prefix))
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", prefix, err)
	}
	var keys []string
	for _, subject := range subjects {
		key, err := s.names.key(subject)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	list, err := collect(ctx, keys, func(ctx context.Context, key string) (store.Entry, error) {
		return s.get(ctx, s.names.head(key))
	})
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", prefix, err)
	}
	return list, nil
}

// subjects returns those subjects of CTRL that match the filter and hold a message, as its leader
// knows them. A consumer would do with one request, but could be placed where replication lags.
func (s *Store) subjects(ctx context.Context, filter string) ([]string, error) {
	info, err := ask(ctx, func(ctx context.Context) (*jetstream.StreamInfo, error) {
		return s.ctrl.Info(ctx, jetstream.WithSubjectFilter(filter))
	})
	if err != nil {
		return nil, translate(err, store.ErrUnavailable)
	}
	list := make([]string, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		list = append(list, subject)
	}
	return list, nil
}

// collect calls get for each item, several at a time, and returns the results in order.
func collect[In, Out any](ctx context.Context, items []In, get func(context.Context, In) (Out, error)) ([]Out, error) {
	out := make([]Out, len(items))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, item := range items {
		g.Go(func() (err error) {
			out[i], err = get(ctx, item)
			return err
		})
	}
	return out, g.Wait()
}

// History implements store.Store.
func (s *Store) History(ctx context.Context, key string, after store.Revision) ([]store.Entry, error) {
	if err := store.CheckName("key", key); err != nil {
		return nil, err
	}
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	subjects, err := s.subjects(ctx, s.names.entries(key))
	if err != nil {
		return nil, fmt.Errorf("history of %q: %w", key, err)
	}
	subjects, err = since(subjects, uint64(after))
	if err != nil {
		return nil, fmt.Errorf("history of %q: %w", key, err)
	}
	list, err := collect(ctx, subjects, func(ctx context.Context, subject string) (store.Entry, error) {
		return s.entry(ctx, key, subject)
	})
	if err != nil {
		return nil, fmt.Errorf("history of %q: %w", key, err)
	}
	return slices.DeleteFunc(list, func(e store.Entry) bool { return e.Revision <= after }), nil
}

// since returns, in order, the entry subjects that may lie after the revision. The last token is
// the revision of the head that the entry replaced: an entry lies after that one and not after
// any later entry's.
func since(subjects []string, after uint64) ([]string, error) {
	type numbered struct {
		subject  string
		replaced uint64
	}
	all := make([]numbered, len(subjects))
	for i, subject := range subjects {
		n, err := strconv.ParseUint(subject[strings.LastIndexByte(subject, '.')+1:], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("subject %q is not an entry's: %w", subject, err)
		}
		all[i] = numbered{subject, n}
	}
	slices.SortFunc(all, func(a, b numbered) int {
		if a.replaced < b.replaced {
			return -1
		}
		return 1 // the numbers differ: one subject each
	})
	first := max(0, slices.IndexFunc(append(all, numbered{"", ^uint64(0)}), func(n numbered) bool { return n.replaced >= after })-1)
	var out []string
	for _, n := range all[min(first, len(all)):] {
		out = append(out, n.subject)
	}
	return out, nil
}

// entry reads one appended entry; its revision is that of its head.
func (s *Store) entry(ctx context.Context, key, subject string) (store.Entry, error) {
	m, err := ask(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return s.ctrl.GetLastMsgForSubject(ctx, subject)
	})
	if err != nil {
		return store.Entry{}, translateGet(err)
	}
	n, err := strconv.ParseUint(m.Header.Get(headAhead), 10, 64)
	if err != nil {
		return store.Entry{}, fmt.Errorf("entry %d: %s %q", m.Sequence, headAhead, m.Header.Get(headAhead))
	}
	return store.Entry{Key: key, Value: m.Data, Revision: store.Revision(m.Sequence + n), Time: m.Time}, nil
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, key string) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		if err := store.CheckName("key", key); err != nil {
			yield(store.Entry{}, err)
			return
		}
		err := s.consume(ctx, s.names.ctrl(), jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{s.names.head(key)},
			DeliverPolicy:  jetstream.DeliverLastPerSubjectPolicy,
		}, nil, func(ctx context.Context, m *jetstream.RawStreamMsg) (bool, error) {
			e, err := s.present(ctx, key, m.Sequence, m)
			if err != nil {
				return false, err
			}
			return yield(e, nil), nil
		})
		if err != nil {
			yield(store.Entry{}, fmt.Errorf("watch of %q: %w", key, err))
		}
	}
}
