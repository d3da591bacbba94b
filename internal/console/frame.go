package console

import (
	. "maragu.dev/gomponents" //nolint:staticcheck // its names read as the page does
	h "maragu.dev/gomponents/html"
)

// html is the page. Why components and no template: see the report of package suite.
func (f *frame) html() Node {
	return h.Doctype(h.HTML(
		h.Lang(f.Lang),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.TitleEl(Text(f.Title+" · Sluice")),
			h.Link(h.Rel("icon"), h.Href(f.Assets+"/icon.svg"), h.Type("image/svg+xml")),
			h.Link(h.Rel("stylesheet"), h.Href(f.Assets+"/base.css")),
			h.Link(h.Rel("stylesheet"), h.Href(f.Assets+"/guide.css")),
			h.Script(h.Src(f.Assets+"/guide.js"), h.Type("module")),
		),
		h.Body(
			h.A(h.Class("skip"), h.Href("#main"), Text(f.Words["nav.skip"])),
			f.top(),
			h.Div(h.Class("guide"), f.list(), h.Main(h.ID("main"), h.TabIndex("-1"), h.Article(Raw(f.Body))), f.contents()),
		),
	))
}

// top is the bar that all pages of the console have.
func (f *frame) top() Node {
	to := func(address, word string) Node { return h.A(h.Href(address), Text(f.Words[word])) }
	section := f.Section
	if section == "docs" {
		section = "en"
	}
	return h.Header(
		h.ID("top"),
		h.A(h.Class("brand"), h.Href("/"),
			h.Img(h.Src(f.Assets+"/icon.svg"), h.Alt(""), h.Width("26"), h.Height("26")), h.Span(h.Class("brand-name"), Text("Sluice"))),
		h.Nav(
			h.Aria("label", f.Words["nav.label"]),
			to("/#/", "nav.models"), to("/#/plan", "nav.plan"), to("/#/audit", "nav.audit"), to("/#/settings", "nav.settings"),
			h.A(h.Href("/guide/"+section+"/index"), h.Aria("current", "page"), Text(f.Words["nav.guide"])),
		),
		h.Span(h.Class("space")),
		If(f.Other != "", h.A(h.Class("quiet button"), h.ID("lang"), h.Lang(f.Other), Attr("hreflang", f.Other),
			h.Href("/guide/"+f.Other+"/"+f.OtherPage), Text(f.OtherName))),
		h.Button(
			h.Class("quiet"), h.ID("theme"), h.Type("button"), Attr("hidden"),
			h.Data("label", f.Words["theme.switch"]), h.Data("auto", f.Words["theme.auto"]), h.Data("light", f.Words["theme.light"]),
			h.Data("dark", f.Words["theme.dark"]), h.Data("copy", f.Words["guide.copy"]), h.Data("code", f.Words["guide.code"]),
		),
	)
}

// list is the list of pages.
func (f *frame) list() Node {
	return h.Nav(h.Class("pages"), h.Aria("label", f.Words["guide.pages"]), h.Details(
		Attr("open"), h.Summary(Text(f.Words["guide.pages"])),
		h.Ul(Map(f.Pages, func(p entry) Node {
			return h.Li(h.A(h.Href("/guide/"+f.Section+"/"+p.Name), If(p.Name == f.Name, h.Aria("current", "page")), Text(p.Title)))
		})),
	))
}

// contents are the headings of the page, if there are several.
func (f *frame) contents() Node {
	if len(f.Headings) < 2 {
		return nil
	}
	return h.Nav(
		h.Class("contents"), h.Aria("label", f.Words["guide.contents"]),
		h.P(Text(f.Words["guide.contents"])),
		h.Ul(Map(f.Headings, func(x heading) Node { return h.Li(h.A(h.Href("#"+x.ID), Text(x.Text))) })),
	)
}
