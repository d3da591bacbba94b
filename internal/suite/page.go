package suite

import (
	_ "embed" // the style
	"strconv"
	"time"

	. "maragu.dev/gomponents" //nolint:staticcheck // its names read as the page does
	h "maragu.dev/gomponents/html"
)

//go:embed report.css
var reportStyle string

// html is the page. Components are used and not html/template: a template calls methods by their names, which keeps the
// linker from leaving out any method of the whole program (6 MB).
func (d *pageData) html() Node {
	return h.Doctype(h.HTML(
		h.Lang("en"),
		h.Meta(h.Charset("utf-8")),
		h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
		h.Meta(h.Name("color-scheme"), h.Content("light dark")),
		h.Meta(Attr("http-equiv", "Content-Security-Policy"), h.Content("default-src 'none'; style-src 'unsafe-inline'")),
		h.TitleEl(Text(d.Suite+": "+d.Verdict)),
		h.StyleEl(Raw(reportStyle)),
		h.H1(Text(d.Suite+" "), h.Span(h.Class("chip "+d.Color), Text(d.Verdict))),
		h.P(Text(d.Summary())),
		h.P(h.Class("soft"), Text(d.origin())),
		h.Ul(h.Class("counts"), Map(d.Counts, func(n named) Node { return h.Li(h.Class("chip "+n.Name), Text(n.Value+" "+n.Name)) })),
		If(len(d.Bad) > 0, Group{
			h.H2(Text("What did not pass")),
			h.Ul(Map(d.Bad, func(s shown) Node { return h.Li(h.A(h.Href("#"+s.id()), Text(s.Name))) })),
		}),
		Map(d.Groups, func(g group) Node {
			return Group{h.H2(Text(string(g.Family))), h.Ol(h.Class("sheet"), Map(g.Results, shown.html))}
		}),
	))
}

func (d *pageData) origin() string {
	against := "Against " + d.Target
	if d.Live != "" {
		against += ", compared with " + d.Live
	}
	return against + ". Started " + d.Started.Format("2006-01-02 15:04:05 UTC") + ", took " + duration(d.Seconds) + ". Seed " +
		strconv.FormatUint(d.Seed, 10) + "."
}

func duration(seconds float64) string { return round(time.Duration(seconds * float64(time.Second))) }

func (s shown) id() string { return "r" + strconv.Itoa(s.At) }

func (s shown) html() Node {
	return h.Li(
		h.Class("case"), h.ID(s.id()),
		h.Div(
			h.Span(h.Class("chip "+string(s.Status)), Text(string(s.Status))),
			If(!s.Required, h.Small(h.Class("optional"), Text("optional"))),
		),
		h.Div(h.Class("name"), Text(s.Name), Map(s.Tags, func(tag string) Node { return Group{Text(" "), h.Small(Text("#" + tag))} })),
		h.Div(
			h.Class("found"), Text(s.Message),
			Iff(s.Picture != nil, func() Node { return s.Picture.html(s.Status) }),
			If(len(s.Details) > 0, h.Ul(Map(s.Details, func(d string) Node { return h.Li(Text(d)) }))),
			If(len(s.Numbers) > 0, h.Details(h.Summary(Text("Numbers")), h.Dl(Map(numberList(s.Numbers), func(n named) Node {
				return Group{h.Dt(Text(n.Name)), h.Dd(Text(n.Value))}
			})))),
		),
		h.Div(h.Class("time"), Text(duration(s.Seconds))),
	)
}

// html draws the interval as a bar with its estimate and its limits.
func (p *picture) html(s Status) Node {
	line := func(class, x1, x2, y1, y2 string) Node {
		return El("line", h.Class(class), Attr("x1", x1), Attr("x2", x2), Attr("y1", y1), Attr("y2", y2))
	}
	return h.SVG(
		h.Class(string(s)), h.Role("img"), h.Aria("label", "interval from "+p.LoText+" to "+p.HiText),
		line("axis", "0", "100%", "10", "10"),
		Map(p.Limits, func(m mark) Node { return line("limit", m.At+"%", m.At+"%", "0", "20") }),
		line("bar", p.Lo+"%", p.Hi+"%", "10", "10"),
		line("at", p.Est+"%", p.Est+"%", "4", "16"),
		El("text", Attr("x", p.Lo+"%"), Attr("y", "31"), Attr("text-anchor", "end"), Text(p.LoText)),
		El("text", Attr("x", p.Hi+"%"), Attr("y", "31"), Text(p.HiText)),
	)
}
