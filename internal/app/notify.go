package app

import (
	"context"
	"fmt"
	"log/slog"

	"sluice.dev/sluice/internal/controller"
	"sluice.dev/sluice/internal/notify"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// notifier joins the controller's decisions to the webhooks of the config.
type notifier struct{ sender *notify.Sender }

// newNotifier returns nil if the config names no webhook.
func newNotifier(list []release.NotifyConfig, log *slog.Logger) (controller.Notifier, error) {
	if len(list) == 0 {
		return nil, nil //nolint:nilnil // nobody wants to be told
	}
	o := notify.Options{Log: log.With("part", "notify")}
	for i, c := range list {
		name := fmt.Sprintf("spec.notify[%d]", i)
		url, err := resolveSecret(c.URL)
		if err != nil {
			return nil, fmt.Errorf("%s.url: %w", name, err)
		}
		secret, err := resolveSecret(c.Secret)
		if err != nil {
			return nil, fmt.Errorf("%s.secret: %w", name, err)
		}
		r := notify.Receiver{Name: name, URL: url, Secret: []byte(secret), Format: c.Format}
		for _, what := range c.On {
			r.On = append(r.On, string(what))
		}
		o.Receivers = append(o.Receivers, r)
	}
	sender, err := notify.New(o)
	if err != nil {
		return nil, err
	}
	return notifier{sender}, nil
}

// Notify implements controller.Notifier.
func (n notifier) Notify(ctx context.Context, key string, d rollout.Decision) error {
	return n.sender.Notify(ctx, key, notify.Event{
		Model: d.Model, Release: d.Release, Number: d.Number, Step: string(d.Step), What: string(d.What),
		From: d.From.String(), To: d.To.String(), Phase: string(d.Phase), By: d.By, Reason: d.Reason, Time: d.Time,
	})
}
