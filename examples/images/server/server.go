// Package server names the category of a product image and similar products, with one version.
//
//	POST /image   784 bytes, application/octet-stream -> {"category": "Sneaker", "similar": ["p7", ...], "version": "v2"}
//	GET /healthz  {"status": "ok", "version": "v2"}
//
// The body is 28 rows of 28 grey pixels and nothing else: another length is refused with 422, and a longer body than 64 KiB
// with 413.
package server

import (
	"net/http"

	"sluice.dev/sluice/examples/images"
	"sluice.dev/sluice/examples/web"
)

// maxBody leaves room to tell what is wrong with a body that is no such image.
const maxBody = 64 << 10

// Server is the http.Handler of one version. It is safe for concurrent use.
type Server struct {
	version     string
	recommender *images.Recommender
	delay       *web.Delay
}

// New returns the handler of an embedded version.
func New(f web.Flags) (*Server, error) {
	n, err := images.Load(f.Version)
	if err != nil {
		return nil, err
	}
	products, err := images.Catalogue()
	if err != nil {
		return nil, err
	}
	delay, err := web.NewDelay(f.Delay, f.Seed)
	if err != nil {
		return nil, err
	}
	return &Server{version: f.Version, recommender: images.NewRecommender(n, products), delay: delay}, nil
}

// ServeHTTP routes a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/image":
		if web.Allow(w, r, http.MethodPost) {
			s.image(w, r)
		}
	case "/healthz":
		web.Health(w, r, s.version)
	default:
		web.Refuse(w, web.Refusef(http.StatusNotFound, "there are POST /image and GET /healthz"))
	}
}

func (s *Server) image(w http.ResponseWriter, r *http.Request) {
	body, p := web.Body(w, r, "application/octet-stream", maxBody)
	if p == nil && len(body) != images.Pixels {
		p = web.Refusef(http.StatusUnprocessableEntity, "the image has %d bytes, want %d: 28 rows of 28 pixels", len(body), images.Pixels)
	}
	if p != nil {
		web.Refuse(w, p)
		return
	}
	if !s.delay.Wait(r.Context()) {
		web.Refuse(w, web.Refusef(http.StatusServiceUnavailable, "the request was cancelled"))
		return
	}
	category, similar := s.recommender.Recommend(body)
	web.Answer(w, answer{category, similar, s.version})
}

type answer struct {
	Category string                 `json:"category"`
	Similar  [images.Similar]string `json:"similar"`
	Version  string                 `json:"version"`
}
