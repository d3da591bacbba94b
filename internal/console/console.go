package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"sluice.dev/sluice/docs"
)

//go:embed static
var files embed.FS

// policy lets the pages load their own files and talk to their own server, and nothing else: no inline
// script or style, no other host, no frame, no form that leaves the page. Scripts can't turn text into
// markup either, since no policy for trusted types is allowed.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// types of our files, so that the machine's own table does not matter.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
	".png":  "image/png",
	"":      "text/plain; charset=utf-8", // LICENSE
}

// placeholder marks in index.html where the assets' folder is filled in.
const placeholder = "{{assets}}"

// asset is one file, ready to be sent.
type asset struct {
	body []byte
	kind string
	etag string
}

type handler struct {
	index  asset
	assets map[string]asset // by path below the folder
	folder string           // /assets/HASH/
	guide  *guide
}

// Handler serves the console: the page at / and its files below /assets/HASH/, where HASH changes with
// any of their bytes, so that browsers may keep them for ever; and the documentation below /guide/. Every
// other path is 404: the console's own pages have their address behind the #, which never reaches a
// server. Safe for concurrent use.
func Handler() http.Handler {
	h, err := load(files)
	if err == nil {
		h.guide, err = newGuide(docs.Files, files, h.folder)
	}
	if err != nil {
		panic(fmt.Sprintf("console: the embedded files are damaged: %v", err)) // a broken build, seen by any test
	}
	return h
}

func load(from fs.FS) (*handler, error) {
	h := &handler{assets: map[string]asset{}}
	all := sha256.New()
	err := fs.WalkDir(from, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		kind, ok := types[path.Ext(name)]
		if !ok {
			return fmt.Errorf("%s: files of this type are not served", name)
		}
		fmt.Fprintf(all, "%s %d\n", name, len(body))
		all.Write(body)
		h.assets[strings.TrimPrefix(name, "static/")] = newAsset(body, kind)
		return nil
	})
	if err != nil {
		return nil, err
	}
	h.folder = "/assets/" + hex.EncodeToString(all.Sum(nil))[:16] + "/"
	page, ok := h.assets["index.html"]
	if !ok || !bytes.Contains(page.body, []byte(placeholder)) {
		return nil, fmt.Errorf("index.html with %s is missing", placeholder)
	}
	delete(h.assets, "index.html")
	h.index = newAsset(bytes.ReplaceAll(page.body, []byte(placeholder), []byte(strings.TrimSuffix(h.folder, "/"))), page.kind)
	return h, nil
}

func newAsset(body []byte, kind string) asset {
	sum := sha256.Sum256(body)
	return asset{body: body, kind: kind, etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		plain(w, http.StatusMethodNotAllowed, "The console's pages can only be read.")
		return
	}
	if r.URL.Path == "/" {
		send(w, r, h.index, "no-cache")
		return
	}
	if r.URL.Path == "/guide" || strings.HasPrefix(r.URL.Path, "/guide/") {
		h.guide.ServeHTTP(w, r)
		return
	}
	name, inFolder := strings.CutPrefix(r.URL.Path, h.folder)
	a, ok := h.assets[name]
	if !inFolder || !ok {
		plain(w, http.StatusNotFound, "There is nothing here. The console is at /")
		return
	}
	send(w, r, a, "public, max-age=31536000, immutable")
}

func send(w http.ResponseWriter, r *http.Request, a asset, caching string) {
	head := w.Header()
	head.Set("Content-Type", a.kind)
	head.Set("Cache-Control", caching)
	head.Set("ETag", a.etag)
	if matches(r.Header.Get("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	head.Set("Content-Length", fmt.Sprint(len(a.body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // the client is gone if this fails
	}
}

// matches compares entity tags weakly, as RFC 9110 wants it for If-None-Match.
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag == etag {
			return true
		}
	}
	return false
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", types[""])
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text) // the client is gone if this fails
}
