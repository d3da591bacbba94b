package release

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// NotifyConfig is one webhook that is told of decisions.
type NotifyConfig struct {
	// Address that decisions are posted to: http(s)://..., or env:NAME or file:PATH where the address itself is a
	// secret, as Slack's are.
	URL Secret `json:"url"`
	// Key that signs each message (HMAC-SHA256, header X-Sluice-Signature), as env:NAME or file:PATH. Without
	// one, messages are not signed.
	Secret Secret `json:"secret,omitempty"`
	// json (default), all fields of the decision, or slack, a text that Slack and Mattermost show.
	Format NotifyFormat `json:"format,omitempty"`
	// Decisions that are told. Default: pause, rollback, finish, stop, undo and note, which is an alarm of the standing watch.
	On []NotifyOn `json:"on,omitempty"`
}

// NotifyFormat is the form of a notification.
type NotifyFormat string

// The formats.
const (
	NotifyJSON  NotifyFormat = "json"
	NotifySlack NotifyFormat = "slack"
)

// Values implements Enum.
func (NotifyFormat) Values() []string { return words(NotifyJSON, NotifySlack) }

// NotifyOn is a kind of decision, by the word that decisions carry.
type NotifyOn string

// Values implements Enum.
func (NotifyOn) Values() []string {
	return []string{
		"start", "advance", "hold", "pause", "resume", "rollback", "finish", "stop", "undo", "retry", "adjust", "baseline", "note",
	}
}

// defaultNotifyOn are the decisions after which somebody may want to look. Of notes, only alarms of the standing watch are told at all.
var defaultNotifyOn = []NotifyOn{"pause", "rollback", "finish", "stop", "undo", "note"}

// maxNotify bounds the webhooks of one process.
const maxNotify = 32

func normaliseNotify(list []NotifyConfig) []NotifyConfig {
	list = slices.Clone(list)
	for i := range list {
		setDefault(&list[i].Format, NotifyJSON)
		if list[i].On = slices.Clone(list[i].On); len(list[i].On) == 0 {
			list[i].On = slices.Clone(defaultNotifyOn)
		}
	}
	return list
}

func (c *checker) notify(path string, list []NotifyConfig) {
	if len(list) > maxNotify {
		c.fail(path, fmt.Sprintf("keep at most %d", maxNotify), "%d webhooks are too many", len(list))
	}
	for i, n := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		c.webhook(at+".url", n.URL)
		switch source, name, _ := strings.Cut(string(n.Secret), ":"); {
		case n.Secret == "" && n.Format == NotifyJSON:
			c.warn(at, "add secret: env:NAME or file:PATH", "messages are not signed, so the receiver can't tell who sent them")
		case n.Secret == "":
		case source != "env" && source != "file" || name == "":
			c.fail(at+".secret", "write env:NAME or file:PATH", "a secret must not stand in the file")
		}
	}
}

// webhook checks the address of a receiver. Messages don't quote it: it may be a secret.
func (c *checker) webhook(path string, s Secret) {
	const remedy = `write an address like "https://hooks.example.org/sluice", env:NAME or file:PATH`
	source, name, _ := strings.Cut(string(s), ":")
	if source == "env" || source == "file" {
		if name == "" {
			c.fail(path, remedy, "the secret's name is empty")
		}
		return
	}
	if err := CheckWebhook(string(s)); err != nil {
		c.fail(path, remedy, "%v", err)
	}
}

// CheckWebhook says why text is not an address that notifications can be posted to. The error does not quote it.
func CheckWebhook(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return fmt.Errorf("it is empty")
	case len(text) > 2048 || err != nil || u.Hostname() == "" || u.Opaque != "":
		return fmt.Errorf("it is not a valid URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the scheme %q is not supported", clip(u.Scheme))
	case u.User != nil:
		return fmt.Errorf("it holds credentials, which belong into the secret")
	}
	return nil
}
