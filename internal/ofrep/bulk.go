package ofrep

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sluice.dev/sluice/internal/assign"
)

// bulk is the answer about all flags.
type bulk struct {
	Flags   []flag        `json:"flags"`
	Streams []eventStream `json:"eventStreams"`
}

// eventStream says where changes are told.
type eventStream struct {
	Type       string   `json:"type"`
	Endpoint   endpoint `json:"endpoint"`
	Inactivity int      `json:"inactivityDelaySec"`
}

type endpoint struct {
	RequestURI string `json:"requestUri"`
}

// inactivity is after how many seconds without anybody looking a client may leave the stream.
const inactivity = 120

// serveAll evaluates all flags. It records nothing: a provider that fetches all flags has not shown any to its user.
func (h *Handler) serveAll(w http.ResponseWriter, r *http.Request) {
	unit, f := h.unit(w, r)
	if f != nil {
		writeJSON(w, f.status, f)
		return
	}
	routes := h.o.Routes()
	if routes.Generation == 0 {
		h.notReady(w)
		return
	}
	answer := bulk{Flags: []flag{}, Streams: []eventStream{{Type: "sse", Endpoint: endpoint{h.eventsURI()}, Inactivity: inactivity}}}
	for _, route := range routes.All {
		answer.Flags = append(answer.Flags, h.evaluate(routes, route, unit).flag)
	}
	slices.SortFunc(answer.Flags, func(a, b flag) int { return cmp.Compare(a.Key, b.Key) })
	body, err := json.Marshal(answer)
	if err != nil { // texts, numbers and maps of them always marshal
		panic(err)
	}
	sum := sha256.Sum256(body)
	tag := hex.EncodeToString(sum[:])
	w.Header().Set("ETag", `"`+tag+`"`)
	if !asksForNews(r, routes) && matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	write(w, http.StatusOK, body)
}

func (h *Handler) eventsURI() string {
	if h.token == "" {
		return eventsPath
	}
	return eventsPath + "?token=" + h.token
}

// configTag names the routes as events do.
func configTag(routes *assign.Routes) string { return "g" + strconv.FormatUint(routes.Generation, 10) }

// asksForNews says whether an event told the client of other routes than these: then the answer is never "not
// modified", although the client may have heard of them from another gateway than this one.
func asksForNews(r *http.Request, routes *assign.Routes) bool {
	told := r.URL.Query().Get("flagConfigEtag")
	return told != "" && strings.Trim(told, `"`) != configTag(routes)
}

// matches reads If-None-Match: a list of tags, quoted or not, weak or not, or *.
func matches(headers []string, tag string) bool {
	for _, header := range headers {
		for t := range strings.SplitSeq(header, ",") {
			t = strings.TrimSpace(t)
			if t == "*" || strings.Trim(strings.TrimPrefix(t, "W/"), `"`) == tag {
				return true
			}
		}
	}
	return false
}
