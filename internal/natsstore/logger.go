package natsstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// serverLog hands the server's messages to slog. What the server would die of becomes an error that
// OpenEmbedded returns: its own loggers exit the process, and without one it hangs half started.
type serverLog struct {
	log *slog.Logger

	mu    sync.Mutex
	fatal error // the first
	died  chan struct{}
}

func newServerLog(l *slog.Logger) *serverLog {
	return &serverLog{log: l.With("component", "nats-server"), died: make(chan struct{})}
}

func (l *serverLog) at(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "engine", "text", fmt.Sprintf(format, v...))
	}
}

// Noticef implements server.Logger. Notices tell of each start and stream: of use when debugging.
func (l *serverLog) Noticef(format string, v ...any) { l.at(slog.LevelDebug, format, v) }

// Warnf implements server.Logger.
func (l *serverLog) Warnf(format string, v ...any) { l.at(slog.LevelWarn, format, v) }

// Errorf implements server.Logger.
func (l *serverLog) Errorf(format string, v ...any) { l.at(slog.LevelError, format, v) }

// Debugf implements server.Logger.
func (l *serverLog) Debugf(format string, v ...any) { l.at(slog.LevelDebug, format, v) }

// Tracef implements server.Logger.
func (l *serverLog) Tracef(format string, v ...any) { l.at(slog.LevelDebug, format, v) }

// Fatalf implements server.Logger.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.at(slog.LevelError, format, v)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == nil {
		l.fatal = fmt.Errorf("nats-server: "+format, v...)
		close(l.died)
	}
}

func (l *serverLog) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
