package capture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"filippo.io/age"
)

// Exchange is one request with its answer as it is kept, after redaction.
type Exchange struct {
	Time     time.Time `json:"time"`
	Model    string    `json:"model"`
	Release  uint32    `json:"release,omitempty"`
	Arm      string    `json:"arm"`
	Version  string    `json:"version"`
	Exposure string    `json:"exposure,omitempty"` // the exposure id without its signature: finds its feedback, can't be used to give any
	Mirrored bool      `json:"mirrored,omitempty"`
	Status   int       `json:"status"`
	Request  Body      `json:"request"`
	Answer   Body      `json:"answer"`
	Text     string    `json:"text,omitempty"` // of a streamed answer, its pieces joined

	Keep time.Duration `json:"-"` // how long the model keeps it
}

// Raw is one exchange before redaction. It never leaves the memory.
type Raw struct {
	Exchange // but for Request, Answer and Text

	RequestType, AnswerType string // Content-Type
	RequestBody, AnswerBody []byte // as much as is in memory; the Writer's from now on
	RequestSize, AnswerSize int64  // on the wire
	Words                   string // of a streamed answer, its pieces joined
	Redact                  *Redactor
}

func (r *Raw) clean() Exchange {
	e := r.Exchange
	e.Request = r.Redact.Clean(r.RequestType, r.RequestBody, r.RequestSize)
	e.Answer = r.Redact.Clean(r.AnswerType, r.AnswerBody, r.AnswerSize)
	e.Text = r.Redact.CleanText(r.Words)
	return e
}

// Options of a Writer.
type Options struct {
	Dir       string        // made if it is missing
	Recipient age.Recipient // for whom batches are encrypted
	MaxBytes  int64         // of the folder; default 1 GiB
	Queue     int           // exchanges that wait to be redacted; default 64
	Every     time.Duration // a batch is written at the latest after this time; default 10 s
	Log       *slog.Logger
}

// Writer keeps exchanges. Keep may be called by any goroutine and never blocks; Run writes.
type Writer struct {
	o       Options
	queue   chan Raw
	dropped atomic.Uint64
	kept    atomic.Uint64
	next    int
}

// batchBytes is the size at which a batch is written without waiting longer.
const batchBytes = 1 << 20

// NewWriter returns a Writer. It touches the disk when it runs.
func NewWriter(o Options) *Writer {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 30
	}
	if o.Queue <= 0 {
		o.Queue = 64
	}
	if o.Every <= 0 {
		o.Every = 10 * time.Second
	}
	return &Writer{o: o, queue: make(chan Raw, o.Queue)}
}

// Keep queues an exchange, or drops and counts it when the queue is full. Redaction happens behind the queue.
func (w *Writer) Keep(r Raw) {
	select {
	case w.queue <- r:
	default:
		w.dropped.Add(1)
	}
}

// Counts returns how many exchanges were written and how many were dropped since the start.
func (w *Writer) Counts() (kept, dropped uint64) { return w.kept.Load(), w.dropped.Load() }

// batch is what waits to be written of one model.
type batch struct {
	lines bytes.Buffer
	n     uint64
	keep  time.Duration
}

// Run writes what is queued until ctx ends, then what is left. A fault of the disk is logged and counted as
// dropped exchanges; it never ends the run.
func (w *Writer) Run(ctx context.Context) error {
	if err := os.MkdirAll(w.o.Dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of captures: %w", err)
	}
	ticker := time.NewTicker(w.o.Every)
	defer ticker.Stop()
	waiting := map[string]*batch{}
	w.sweep(time.Now())
	for {
		select {
		case r := <-w.queue:
			w.add(waiting, r.clean())
		case now := <-ticker.C:
			w.flush(waiting, now)
			w.sweep(now)
		case <-ctx.Done():
			for {
				select {
				case r := <-w.queue:
					w.add(waiting, r.clean())
				default:
					w.flush(waiting, time.Now())
					return nil
				}
			}
		}
	}
}

func (w *Writer) add(waiting map[string]*batch, e Exchange) {
	line, err := json.Marshal(e)
	if err != nil {
		w.lose(1, err)
		return
	}
	b := waiting[e.Model]
	if b == nil {
		b = &batch{}
		waiting[e.Model] = b
	}
	b.lines.Write(line)
	b.lines.WriteByte('\n')
	b.n++
	b.keep = e.Keep
	if b.lines.Len() >= batchBytes {
		w.flush(map[string]*batch{e.Model: b}, time.Now())
		delete(waiting, e.Model)
	}
}

func (w *Writer) lose(n uint64, err error) {
	w.dropped.Add(n)
	w.o.Log.Warn("captured exchanges are lost", "exchanges", n, "error", err)
}

func (w *Writer) flush(waiting map[string]*batch, now time.Time) {
	for model, b := range waiting {
		if err := w.write(model, b, now); err != nil {
			w.lose(b.n, err)
		} else {
			w.kept.Add(b.n)
		}
		delete(waiting, model)
	}
}

// errFull says that the folder has reached its limit.
var errFull = errors.New("the folder of captures is full; raise capture.size, or keep less or shorter")

func (w *Writer) write(model string, b *batch, now time.Time) error {
	used, err := sizeOf(w.o.Dir)
	if err != nil {
		return err
	}
	if used+int64(b.lines.Len()) > w.o.MaxBytes {
		return errFull
	}
	// The hour says when it goes, so that a later change of the file's keep changes nothing that is kept.
	dir := filepath.Join(w.o.Dir, model, now.Add(b.keep).UTC().Format(hourFormat))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	w.next++
	name := fmt.Sprintf("%d-%d.age", now.UnixNano(), w.next)
	return writeSealed(filepath.Join(dir, name), w.o.Recipient, b.lines.Bytes())
}

func writeSealed(file string, to age.Recipient, data []byte) (err error) {
	aside := file + ".part"
	f, err := os.OpenFile(aside, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(aside))
		}
	}()
	if err = seal(f, to, data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(aside, file)
}

func seal(out io.Writer, to age.Recipient, data []byte) error {
	sealed, err := age.Encrypt(out, to)
	if err != nil {
		return err
	}
	if _, err := sealed.Write(data); err != nil {
		return err
	}
	return sealed.Close()
}

// hourFormat names the folder of the hour at whose end its batches are removed.
const hourFormat = "20060102T15"

// sweep removes the hours that are over, and what a crash left half written.
func (w *Writer) sweep(now time.Time) {
	hours, err := filepath.Glob(filepath.Join(w.o.Dir, "*", "*"))
	if err != nil {
		w.o.Log.Warn("expired captures can't be found", "error", err)
		return
	}
	for _, dir := range hours {
		hour, err := time.Parse(hourFormat, filepath.Base(dir))
		if err != nil || now.Before(hour.Add(time.Hour)) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			w.o.Log.Warn("expired captures can't be removed", "folder", dir, "error", err)
		}
	}
}

func sizeOf(dir string) (int64, error) {
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // swept meanwhile
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
