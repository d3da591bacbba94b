package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

func (e *env) releaseCmd() *cobra.Command {
	var req api.StartRequest
	var watch bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "release MODEL --to VERSION", Short: "Start to release a version: it becomes live if the evidence lets it",
		Example: "  sluice release credit --to v2 --reason \"retrained on September\" -w",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: e.completeModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, done, err := e.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			r, err := client.Start(ctx, args[0], req)
			if err != nil {
				return err
			}
			if watch {
				return e.follow(cmd.Context(), client, args[0], timeout)
			}
			return e.print(r, func() {
				fmt.Fprintf(e.out, "release %d of %s started: %s to follow %s\n", r.Number, r.Model, r.Candidate, r.Live)
				fmt.Fprintf(e.err, "watch it: sluice status %s -w\n", r.Model)
			})
		},
	}
	cmd.Flags().StringVar(&req.To, "to", "", "the version that shall become live")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for the record")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "follow it to its end")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "with -w: give up watching after this time (exit code 4)")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

func (e *env) statusCmd() *cobra.Command {
	var watch bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "status MODEL", Short: "Show what the latest release of a model does, why, and what comes next",
		Long: "Show what the latest release of a model does, why, and what comes next. The exit code says how it stands:\n" +
			"0 succeeded (or no release yet), 2 rolled back or stopped, 3 undecided or waiting for a person, 4 timed out.",
		Example: "  sluice status credit -w", Args: cobra.ExactArgs(1), ValidArgsFunction: e.completeModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := e.client()
			if err != nil {
				return err
			}
			if watch {
				return e.follow(cmd.Context(), client, args[0], timeout)
			}
			ctx, cancel := withTimeout(cmd.Context())
			defer cancel()
			m, err := client.Model(ctx, args[0])
			if err != nil {
				return err
			}
			if m.Current == nil {
				return e.print(m, func() { fmt.Fprintf(e.out, "model %s: %s is live, no release yet\n", m.Name, m.Live) })
			}
			width, _ := terminal(e.out)
			if err := e.print(m.Current, func() { fmt.Fprint(e.out, e.view(*m.Current, width)) }); err != nil {
				return err
			}
			return codeOf(m.Current.Phase)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "a live view, until the release ends")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "with -w: give up watching after this time (exit code 4)")
	return cmd
}

// codeOf turns a phase into the exit code of design §8.
func codeOf(p rollout.Phase) error {
	switch p {
	case rollout.Succeeded, rollout.Undone:
		return nil
	case rollout.RolledBack, rollout.Stopped:
		return exit{exitRolled}
	default:
		return exit{exitUndecided}
	}
}

func (e *env) verbCmd(verb, short string) *cobra.Command {
	var reason string
	var number uint32
	cmd := &cobra.Command{
		Use: verb + " MODEL --reason WHY", Short: short,
		Example: fmt.Sprintf("  sluice %s credit --reason \"...\"", verb),
		Args:    cobra.ExactArgs(1), ValidArgsFunction: e.completeModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.command(cmd.Context(), args[0], number, verb, api.CommandRequest{Reason: reason})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	cmd.Flags().Uint32Var(&number, "release", 0, "number of the release (default: the latest)")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func (e *env) command(ctx context.Context, model string, n uint32, verb string, req api.CommandRequest) error {
	ctx, client, done, err := e.reach(ctx)
	if err != nil {
		return err
	}
	defer done()
	r, err := client.Command(ctx, model, n, verb, req)
	if err != nil {
		return err
	}
	return e.print(r, func() {
		fmt.Fprintf(e.out, "%s: release %d of %s is %s at %s\n", verb, r.Number, r.Model, r.Phase, r.Share)
	})
}

func (e *env) undoCmd() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "undo MODEL --reason WHY", Short: "Take the latest success back: the former version is live at once",
		Args: cobra.ExactArgs(1), ValidArgsFunction: e.completeModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, done, err := e.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			r, err := client.Undo(ctx, args[0], reason)
			if err != nil {
				return err
			}
			return e.print(r, func() {
				fmt.Fprintf(e.out, "undo: %s is live again; on record as release %d\n", r.Candidate, r.Number)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func (e *env) adjustCmd() *cobra.Command {
	var file, reason string
	cmd := &cobra.Command{
		Use: "adjust MODEL -f FILE --reason WHY", Short: "Give the running release the plan of a Model file for the rest of its way",
		Args: cobra.ExactArgs(1), ValidArgsFunction: e.completeModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := os.ReadFile(file)
			if err != nil {
				return usage(err.Error(), "name a Model file: -f model.yaml")
			}
			m, faults := release.ParseModel(file, data)
			if err := faults.Err(); err != nil {
				return err
			}
			return e.command(cmd.Context(), args[0], 0, "adjust", api.CommandRequest{Reason: reason, Plan: &m.Spec.Plan})
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "a Model file; only its plan is used")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	_ = cmd.MarkFlagRequired("file")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func (e *env) feedbackCmd() *cobra.Command {
	var o told
	cmd := &cobra.Command{
		Use:   "feedback (--id ID | --model MODEL --unit UNIT) --metric NAME --value VALUE | -f FILE",
		Short: "Tell the outcome of an exposure (its id was in the answer's X-Sluice-Id)",
		Example: "  sluice feedback --id \"$ID\" --metric outcome --value approve\n" +
			"  sluice feedback -f outcomes.jsonl        # {\"id\": ..., \"metric\": ..., \"value\": ...} per line; - is stdin",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lines, err := e.feedbackLines(o)
			if err != nil {
				return err
			}
			ctx, client, done, err := e.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			resp, err := client.Feedback(ctx, lines)
			if err != nil {
				return err
			}
			if e.output == "yaml" {
				return e.printAs("yaml", resp)
			}
			fmt.Fprintf(e.out, "%s\n", strings.TrimSpace(string(resp)))
			return nil
		},
	}
	cmd.Flags().StringVar(&o.id, "id", "", "exposure id")
	cmd.Flags().StringVar(&o.model, "model", "", "without an exposure id: the model ...")
	cmd.Flags().StringVar(&o.unit, "unit", "", "... and the unit that the outcome belongs to")
	cmd.Flags().StringVar(&o.key, "key", "", "with --unit: the outcome's own key, so that sending it again counts once")
	cmd.Flags().StringVar(&o.metric, "metric", "", "name of the feedback")
	cmd.Flags().StringVar(&o.value, "value", "", "a number, true, false, or a word")
	cmd.Flags().StringVarP(&o.file, "file", "f", "", "JSON Lines of feedback; - is stdin")
	return cmd
}

// told is what the flags of feedback say.
type told struct{ id, model, unit, key, metric, value, file string }

func (e *env) feedbackLines(o told) ([]byte, error) {
	byUnit := o.model != "" || o.unit != "" || o.key != ""
	switch {
	case o.file == "-":
		return io.ReadAll(io.LimitReader(e.in, 64<<20))
	case o.file != "":
		b, err := os.ReadFile(o.file)
		if err != nil {
			return nil, usage(err.Error(), "name a file of JSON Lines, or - for stdin")
		}
		return b, nil
	case o.metric == "" || o.value == "":
		return nil, usage("--metric and --value are needed", "or give a file: -f outcomes.jsonl")
	case o.id == "" && !byUnit:
		return nil, usage("--id is needed, or --model and --unit", "the id was in the answer's X-Sluice-Id; or give a file: -f outcomes.jsonl")
	case o.id != "" && byUnit:
		return nil, usage("an id says all: --model, --unit and --key don't go with --id", "leave one or the other out")
	case byUnit && (o.model == "" || o.unit == ""):
		return nil, usage("--model and --unit are needed together", "or give the exposure's --id")
	}
	return o.line()
}

func (e *env) auditCmd() *cobra.Command {
	audit := &cobra.Command{Use: "audit", Short: "Read and verify the chain of decisions"}
	audit.AddCommand(&cobra.Command{
		Use: "list MODEL", Short: "List all decisions on a model, oldest first", Args: cobra.ExactArgs(1), ValidArgsFunction: e.completeModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, done, err := e.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			decisions, err := client.Audit(ctx, args[0])
			if err != nil {
				return err
			}
			return e.print(decisions, func() { e.listDecisions(decisions) })
		},
	}, &cobra.Command{
		Use: "verify MODEL", Short: "Recompute the chain: exit code 0 if no decision was changed, removed or cut off", Args: cobra.ExactArgs(1), ValidArgsFunction: e.completeModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, done, err := e.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			a, err := client.Verify(ctx, args[0])
			if err != nil {
				return err
			}
			err = e.print(a, func() {
				if a.OK {
					fmt.Fprintf(e.out, "%s: the chain of %s in %s is whole; its head is %s\n", a.Model, count(a.Decisions, "decision"), count(a.Releases, "release"), a.Head)
					return
				}
				fmt.Fprintf(e.out, "%s: the chain is BROKEN: %s\n", a.Model, a.Fault)
			})
			if err == nil && !a.OK {
				err = exit{exitFault}
			}
			return err
		},
	})
	return audit
}

func (e *env) listDecisions(decisions []rollout.Decision) {
	for _, d := range decisions {
		fmt.Fprintln(e.out, e.decisionLine(d))
	}
}

// decisionLine is a decision as every list shows it.
func (e *env) decisionLine(d rollout.Decision) string {
	share := d.To.String()
	if d.From != d.To {
		share = d.From.String() + " → " + d.To.String()
	}
	head := fmt.Sprintf("%s  %s/%d #%-3d %-10s %-10s %-13s", d.Time.Local().Format(time.TimeOnly), d.Model, d.Release, d.Number, d.Step, d.What, share)
	return e.paint(whatColor(d.What), head) + " " + d.Reason + e.paint(faint, " ("+d.By+")")
}

func whatColor(w rollout.What) string {
	switch w {
	case rollout.Advance, rollout.Finish, rollout.Start, rollout.Resume:
		return good
	case rollout.RollBack, rollout.Stop, rollout.Undo:
		return bad
	case rollout.PauseIt, rollout.Hold:
		return wait
	default:
		return ""
	}
}

func (e *env) tokenCmd() *cobra.Command {
	token := &cobra.Command{Use: "token", Short: "Make, list, rotate and revoke bearer tokens (needs the role admin)"}
	token.AddCommand(e.tokenCreateCmd(), e.tokenListCmd(), e.tokenRotateCmd(), &cobra.Command{
		Use: "revoke ID", Short: "Make a token invalid at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, done, err := e.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if err := client.RevokeToken(ctx, args[0]); err != nil {
				return err
			}
			return e.print(map[string]string{"revoked": args[0]}, func() { fmt.Fprintf(e.out, "token %s is revoked\n", args[0]) })
		},
	})
	return token
}

func (e *env) tokenCreateCmd() *cobra.Command {
	var req api.TokenRequest
	var expires time.Duration
	cmd := &cobra.Command{
		Use: "create --name NAME --role ROLE", Short: "Make a token and print it, for the only time", Args: cobra.NoArgs,
		Example: "  sluice token create --name ci --role operator --expires 720h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, client, done, err := e.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			req.Expires = release.Duration(expires)
			t, err := client.CreateToken(ctx, req)
			if err != nil {
				return err
			}
			return e.print(t, func() {
				fmt.Fprintln(e.out, t.Token)
				fmt.Fprintf(e.err, "token %s of %s (%s); it is not shown again\n", t.ID, t.Name, t.Role)
			})
		},
	}
	cmd.Flags().StringVar(&req.Name, "name", "", "the person or machine that will use it")
	cmd.Flags().StringVar(&req.Role, "role", "viewer", "viewer, operator or admin")
	cmd.Flags().StringSliceVar(&req.Groups, "group", nil, "groups, for approvals")
	cmd.Flags().DurationVar(&expires, "expires", 0, "how long it is valid (default: until revoked)")
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

func (e *env) tokenListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List tokens, without their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, client, done, err := e.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			tokens, err := client.Tokens(ctx)
			if err != nil {
				return err
			}
			return e.print(tokens, func() {
				w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
				defer func() { _ = w.Flush() }() // as any other write to the terminal
				fmt.Fprintln(w, "ID\tNAME\tROLE\tMADE\tSTATE")
				for _, t := range tokens {
					state := "valid"
					switch {
					case !t.Revoked.IsZero():
						state = "revoked"
					case !t.Expires.IsZero() && time.Now().After(t.Expires):
						state = "expired"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, t.Role, t.Created.Local().Format(time.DateTime), state)
				}
			})
		},
	}
}

func (e *env) completionCmd(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "completion (bash|zsh|fish|powershell)", Short: "Print the shell's completion script",
		Example: "  source <(sluice completion bash)",
		Args:    cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(_ *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(e.out, true)
			case "zsh":
				return root.GenZshCompletion(e.out)
			case "fish":
				return root.GenFishCompletion(e.out, true)
			}
			return root.GenPowerShellCompletionWithDesc(e.out)
		},
	}
}
