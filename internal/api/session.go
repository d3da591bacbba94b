package api

import (
	"net/http"
	"strings"
	"time"

	"sluice.dev/sluice/internal/records"
)

// LoginRequest opens a session with a token.
type LoginRequest struct {
	Token string `json:"token"`
}

// SessionInfo says who is logged in.
type SessionInfo struct {
	ID      string     `json:"id,omitempty"` // of the token
	Name    string     `json:"name"`
	Role    string     `json:"role"`
	Groups  []string   `json:"groups,omitempty"`
	CSRF    string     `json:"csrf"` // to be sent as X-Sluice-Csrf with requests that change something; "" for a bearer token
	Expires *time.Time `json:"expires,omitempty"`
}

// LoginInfo says how one can log in.
type LoginInfo struct {
	Token    bool   `json:"token"`
	OIDC     bool   `json:"oidc"`
	OIDCName string `json:"oidcName,omitempty"`
}

func (s *server) loginInfo(call) (any, error) {
	out := LoginInfo{Token: true}
	if p := s.o.Access.Provider; p != nil {
		out.OIDC, out.OIDCName = true, p.Name()
	}
	return out, nil
}

// login exchanges a token for a session. A session that the browser had before is over, whoever put it there.
func (s *server) login(c call) (any, error) {
	var req LoginRequest
	if err := decodeBody(c, maxBody, &req); err != nil {
		return nil, err
	}
	who, err := s.authenticate(c.Request, strings.TrimSpace(req.Token))
	if err != nil {
		return nil, err
	}
	return s.openSession(c, who)
}

func (s *server) openSession(c call, who records.Who) (SessionInfo, error) {
	if old, err := c.Cookie(s.cookieName("session")); err == nil {
		if err := s.o.Records.CloseSession(c.Context(), old.Value); err != nil {
			return SessionInfo{}, err
		}
	}
	session, err := s.o.Records.OpenSession(c.Context(), who, s.o.Now(), s.sessionTime())
	if err != nil {
		return SessionInfo{}, err
	}
	http.SetCookie(c.w, s.cookie("session", session.Cookie, s.sessionTime(), http.SameSiteStrictMode))
	s.o.Log.Info("login", "name", who.Name, "role", who.Role, "address", address(c.Request))
	return infoOf(session), nil
}

func (s *server) sessionTime() time.Duration {
	if s.o.Access.Session > 0 {
		return s.o.Access.Session
	}
	return DefaultSession
}

func infoOf(session records.Session) SessionInfo {
	who, expires := session.Who, session.Expires
	return SessionInfo{ID: who.ID, Name: who.Name, Role: who.Role, Groups: who.Groups, CSRF: session.CSRF, Expires: &expires}
}

func (s *server) getSession(c call) (any, error) {
	if c.session.Cookie != "" {
		return infoOf(c.session), nil
	}
	return SessionInfo{ID: c.who.ID, Name: c.who.Name, Role: c.who.Role, Groups: c.who.Groups}, nil
}

// logout ends the session on the server, not only in the browser.
func (s *server) logout(c call) (any, error) {
	if c.session.Cookie == "" {
		return nil, badRequest("this request has no session", "a bearer token is revoked with DELETE /api/v1/tokens/{id}")
	}
	http.SetCookie(c.w, s.cookie("session", "", 0, http.SameSiteStrictMode))
	return text{"ended": c.who.Name}, s.o.Records.CloseSession(c.Context(), c.session.Cookie)
}

// providerLogin sends a browser to the identity provider. What it must bring back lies in a cookie that lives ten minutes
// and comes along when the provider sends it back (SameSite=Lax).
func (s *server) providerLogin(c call) (any, error) {
	p := s.o.Access.Provider
	if p == nil {
		return nil, s.unknownRoute(c.Request)
	}
	location, state, err := p.Begin()
	if err != nil {
		return nil, err
	}
	http.SetCookie(c.w, s.cookie("login", state, 10*time.Minute, http.SameSiteLaxMode))
	return redirect(location), nil
}

// providerReturn is where the identity provider sends the browser back to. It goes on to the console and to nowhere else.
func (s *server) providerReturn(c call) (any, error) {
	p := s.o.Access.Provider
	if p == nil {
		return nil, s.unknownRoute(c.Request)
	}
	cookie, err := c.Cookie(s.cookieName("login"))
	if err != nil {
		return nil, badRequest("this login was not begun here, or more than ten minutes ago", "begin again at the login page")
	}
	http.SetCookie(c.w, s.cookie("login", "", 0, http.SameSiteLaxMode)) // once
	who, err := p.Finish(c.Context(), cookie.Value, c.URL.Query())
	if err != nil {
		s.o.Log.Warn("login refused", "address", address(c.Request), "error", err)
		return nil, err
	}
	if _, err := s.openSession(c, who); err != nil {
		return nil, err
	}
	return redirect("/"), nil
}

// redirect is an answer that sends a browser elsewhere. It is never made of what a client sent.
type redirect string
