package app

import (
	"context"
	"net/http"

	"sluice.dev/sluice/internal/ofrep"
	"sluice.dev/sluice/internal/release"
)

// startOFREP returns the handler of remote evaluation, on the gateway's routes, lease, keys and telemetry.
func (a *App) startOFREP(s sink, keys *release.Keyring, apiKeys [][32]byte) *ofrep.Handler {
	return ofrep.New(ofrep.Options{
		Routes: a.keeper.Routes, Renewed: a.keeper.Renewed, Sink: s, Keyring: func() *release.Keyring { return keys },
		APIKeys: apiKeys, Logger: a.o.Log.With("part", "ofrep"),
	})
}

// beside puts remote evaluation before the gateway on one port. It is no ServeMux, which would clean the paths of the
// models' requests.
func beside(o *ofrep.Handler, gateway http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ofrep.Owns(r.URL.Path) {
			o.ServeHTTP(w, r)
			return
		}
		gateway.ServeHTTP(w, r)
	})
}

// stopStreams is the stop that must come before that of the port, which waits for open requests.
func stopStreams(o *ofrep.Handler) func(context.Context) error {
	return func(context.Context) error {
		o.Close()
		return nil
	}
}
