package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"sluice.dev/sluice/internal/release"
)

// encode makes a message of an event.
func encode(f release.NotifyFormat, e *Event) ([]byte, error) {
	if f == release.NotifySlack {
		return json.Marshal(struct {
			Text string `json:"text"`
		}{slackText(e)})
	}
	return json.Marshal(e)
}

// maxReason bounds a reason in a chat, in bytes.
const maxReason = 2000

var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackText is an event in two lines. Slack reads three characters as markup; a person's reason must not become a
// link or call a channel.
func slackText(e *Event) string {
	share := e.To
	if e.From != e.To {
		share = e.From + " → " + e.To
	}
	return slackEscape.Replace(fmt.Sprintf("*%s* release %d: *%s* (%s, candidate %s, by %s)\n%s",
		e.Model, e.Release, e.What, e.Phase, share, e.By, clip(e.Reason, maxReason)))
}

// clip cuts text after at most n bytes, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
