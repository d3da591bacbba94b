package ofrep

import (
	"net/http"
	"net/url"
	"strconv"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// flag is a successful evaluation.
type flag struct {
	Key      string         `json:"key"`
	Reason   string         `json:"reason"`
	Variant  string         `json:"variant"`
	Value    value          `json:"value"`
	Metadata map[string]any `json:"metadata,omitempty"` // flat; marshalled in the order of its names
}

// value is what a flag says.
type value struct {
	Model   string `json:"model"`
	Version string `json:"version"`
}

// evaluation is what was drawn for one unit.
type evaluation struct {
	flag   flag
	drawn  assign.Assignment
	leased bool
}

// serveOne evaluates one flag and records that the unit was exposed.
func (h *Handler) serveOne(w http.ResponseWriter, r *http.Request, escaped string) {
	key, err := url.PathUnescape(escaped)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	unit, f := h.unit(w, r)
	if f != nil {
		f.Key = key
		writeJSON(w, f.status, f)
		return
	}
	routes := h.o.Routes()
	if routes.Generation == 0 {
		h.notReady(w)
		return
	}
	route := routes.Model(key)
	if route == nil {
		writeJSON(w, http.StatusNotFound, fault{Key: key, Code: flagNotFound, Details: "no model has this name"})
		return
	}
	e := h.evaluate(routes, route, unit)
	if route.Release != 0 {
		e.flag.Metadata["exposureId"] = h.expose(route, unit, &e)
	}
	writeJSON(w, http.StatusOK, e.flag)
}

// notReady answers while there are no routes: an empty list of flags would make providers forget theirs.
func (h *Handler) notReady(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	writeJSON(w, http.StatusInternalServerError, fault{Details: "no routes have been loaded yet"})
}

// evaluate says which version the unit gets, as the gateway would.
func (h *Handler) evaluate(routes *assign.Routes, route *assign.Route, unit string) evaluation {
	e := evaluation{drawn: route.Assign([]byte(unit)), leased: h.leased(routes)}
	arm := e.drawn.Arm
	split := len(route.Serve) > 1
	if !e.leased {
		arm, split = 0, false // everybody is served by live
	}
	e.flag = flag{
		Key: route.Model, Reason: "STATIC", Variant: variant(arm),
		Value: value{Model: route.Model, Version: route.Arms[arm].Version},
	}
	if split {
		e.flag.Reason = "SPLIT"
	}
	if route.Release != 0 {
		e.flag.Metadata = map[string]any{
			"release": route.Release, "stratum": route.Stratum,
			"percent": float64(assign.ShareOf(route.Serve, 1)) * 100 / float64(release.Whole),
		}
	}
	return e
}

func (h *Handler) leased(routes *assign.Routes) bool {
	return routes.Lease == 0 || h.o.Renewed == nil || h.o.Renewed().Add(routes.Lease).After(h.o.Now())
}

// variant names an arm.
func variant(arm uint8) string {
	switch arm {
	case 0:
		return "live"
	case 1:
		return "candidate"
	default:
		return "candidate" + strconv.Itoa(int(arm))
	}
}

// expose records the exposure and returns its id.
func (h *Handler) expose(route *assign.Route, unit string, e *evaluation) string {
	keys := h.o.Keyring()
	x := release.Exposure{
		ID: h.o.Nonce(), Unit: keys.UnitHash([]byte(unit)), Time: h.o.Now().UnixMilli(), Model: route.Key, Release: route.Release,
		Stratum: route.Stratum, Epoch: route.Epoch, Kind: route.Kind, Bin: e.drawn.Bin, Arm: e.drawn.Counted,
		Flags: release.FlagEvaluated,
	}
	if !e.leased && e.drawn.Arm != 0 {
		x.Flags |= release.FlagLease
	}
	h.o.Sink.Record(&x)
	return string(keys.AppendToken(nil, &release.Token{
		Model: x.Model, Release: x.Release, Stratum: x.Stratum, Epoch: x.Epoch, Arm: x.Arm, Kind: x.Kind, Bin: x.Bin,
		Unit: x.Unit, Time: x.Time, Nonce: x.ID,
	}))
}
