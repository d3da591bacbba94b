package socket

// Watcher is told of a hang-up.
type Watcher interface {
	// HungUp says that the peer of the socket that is watched under id has ended or broken the connection. What it has
	// said before may still be unread: look. It must return soon, and may come late, when the watch is over.
	HungUp(id uint64)
}
