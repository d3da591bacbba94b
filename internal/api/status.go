package api

import (
	"time"

	"sluice.dev/sluice/internal/records"
)

// Status is how the server is.
type Status struct {
	Version     string          `json:"version"`
	Namespace   string          `json:"namespace"`
	ProcessRole string          `json:"processRole"` // what this process runs: all, gateway or controller
	Started     time.Time       `json:"started,omitzero"`
	Now         time.Time       `json:"now"`
	Models      int             `json:"models"`
	Running     int             `json:"running"` // releases
	Roles       []RoleInfo      `json:"roles"`
	Leader      LeaderStatus    `json:"leader"`
	Gateways    []GatewayStatus `json:"gateways"`
	Store       StoreStatus     `json:"store"`
	Telemetry   TelemetryStatus `json:"telemetry"`
}

// RoleInfo says what a role may do.
type RoleInfo struct {
	Role string `json:"role"`
	May  string `json:"may"`
}

// LeaderStatus says whether this process decides.
type LeaderStatus struct {
	Leading bool `json:"leading"`
}

// GatewayStatus is one gateway that serves traffic.
type GatewayStatus struct {
	Name       string    `json:"name"`
	Alive      bool      `json:"alive"`
	Generation uint64    `json:"generation"` // of the routes that it serves
	Published  uint64    `json:"published"`  // of the routes that it should serve
	Seen       time.Time `json:"seen,omitzero"`
}

// StoreStatus is how the store is.
type StoreStatus struct {
	Kind       string            `json:"kind"` // embedded or cluster
	Address    string            `json:"address,omitempty"`
	Healthy    bool              `json:"healthy"`
	Fault      string            `json:"fault,omitempty"`
	Bytes      uint64            `json:"bytes,omitempty"` // that it takes on disk
	Free       uint64            `json:"free,omitempty"`  // that the disk has left
	Lag        uint64            `json:"lag"`             // entries of telemetry that are stored and not counted yet
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus is one partition of the telemetry.
type PartitionStatus struct {
	Partition int    `json:"partition"`
	Last      uint64 `json:"last"`   // entries that were stored
	Folded    uint64 `json:"folded"` // of those, counted
}

// TelemetryStatus is what waits in this process to be stored.
type TelemetryStatus struct {
	Queued   int    `json:"queued"`
	Capacity int    `json:"capacity"`
	Dropped  uint64 `json:"dropped"`
	Spooled  uint64 `json:"spooled,omitempty"` // bytes
}

var roleInfos = []RoleInfo{
	{records.Viewer, "sees everything but tokens and their acts, and simulates plans"},
	{records.Operator, "and applies files, starts and commands releases, sends feedback"},
	{records.Admin, "and makes, rotates and revokes tokens"},
}

func (s *server) status(c call) (any, error) {
	out := Status{
		Version: s.o.Version, Now: s.o.Now(), Roles: roleInfos, Gateways: []GatewayStatus{},
		Store: StoreStatus{Partitions: []PartitionStatus{}},
	}
	models, err := s.o.Records.Models(c.Context())
	out.Store.Healthy = err == nil
	if err != nil {
		out.Store.Fault = problemOf(err).Detail
	}
	out.Models = len(models)
	for _, m := range models {
		if m.Running != 0 {
			out.Running++
		}
	}
	if s.o.Status != nil {
		s.o.Status(c.Context(), &out)
	}
	return out, nil
}
