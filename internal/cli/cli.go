// Package cli is the command line. Data goes to stdout, talk to stderr; an error is one line that
// says what is wrong and one that says what to do. Exit codes are the interface to scripts:
//
//	0  done, promoted
//	1  internal fault or wrong usage
//	2  rolled back, stopped, or tests failed
//	3  undecided, or waiting for a person
//	4  timed out, or the server can't be reached in time
//
// Every command that speaks with a server is a client of package api and can do nothing that curl
// could not.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/release"
)

// Exit codes.
const (
	exitDone      = 0
	exitFault     = 1
	exitRolled    = 2
	exitUndecided = 3
	exitTimeout   = 4
)

// env is what a command needs of the world.
type env struct {
	in       io.Reader
	out, err io.Writer
	vars     map[string]string

	server string
	token  string
	output string // table, json, yaml
	color  string // auto, always, never

	ran bool // a command was found and its flags are right
}

// exit is an error that carries an exit code and has been told already.
type exit struct{ code int }

func (e exit) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// Main runs the command line and returns its exit code. It ends early, and cleanly, on SIGINT and SIGTERM.
func Main(args, environ []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return Run(ctx, args, environ, in, out, errOut)
}

// Run is Main without the signals: for tests.
func Run(ctx context.Context, args, environ []string, in io.Reader, out, errOut io.Writer) int {
	e := &env{in: in, out: out, err: errOut, vars: varsOf(environ)}
	root := e.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	e.markRuns(root)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !e.ran {
		err = wrongUsage(cmd, args, err)
	}
	return e.report(err)
}

// markRuns makes each command note that it runs, so that an error before is known to be one of usage.
func (e *env) markRuns(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(c *cobra.Command, args []string) error {
			e.ran = true
			return run(c, args)
		}
	}
	for _, sub := range cmd.Commands() {
		e.markRuns(sub)
	}
}

// wrongUsage adds to what the parser of arguments says how the command is used.
func wrongUsage(cmd *cobra.Command, args []string, err error) error {
	var known *release.Error
	if errors.As(err, &known) {
		return err
	}
	msg, _, _ := strings.Cut(err.Error(), "\n") // the rest are suggestions, in many lines
	if cmd.HasSubCommands() {
		remedy := cmd.CommandPath() + " --help lists the commands"
		if len(args) > 0 {
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				remedy = fmt.Sprintf("did you mean %s? %s", strings.Join(near, " or "), remedy)
			}
		}
		return usage(msg, remedy)
	}
	return usage(msg, fmt.Sprintf("use it as: %s; more: %s --help", strings.TrimSuffix(cmd.UseLine(), " [flags]"), cmd.CommandPath()))
}

func varsOf(environ []string) map[string]string {
	vars := map[string]string{}
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			vars[k] = v
		}
	}
	return vars
}

// report tells an error and returns its exit code.
func (e *env) report(err error) int {
	var code exit
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return code.code
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintln(e.err, "sluice: timed out")
		return exitTimeout
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(e.err, "sluice: interrupted")
		return exitFault
	}
	var faults release.Faults
	if errors.As(err, &faults) {
		fmt.Fprintln(e.err, faults.Error())
		return exitFault
	}
	var re *release.Error
	if errors.As(err, &re) {
		bare := *re
		bare.Remedy = ""
		fmt.Fprintln(e.err, "sluice: "+bare.Error())
		if re.Remedy != "" {
			fmt.Fprintln(e.err, "hint: "+re.Remedy)
		}
		return exitFault
	}
	fmt.Fprintln(e.err, "sluice: "+err.Error())
	return exitFault
}

func (e *env) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "Release AI models gradually and safely",
		Long: "Sluice takes a new version of a model from its test environment through a shadow run, an A/B test and a\n" +
			"gray release into production, each step on evidence, and takes it back when users are harmed.\n\n" +
			"Try it: sluice demo",
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions:          cobra.CompletionOptions{DisableDefaultCmd: true},
		SuggestionsMinimumDistance: 1,
	}
	f := root.PersistentFlags()
	f.StringVar(&e.server, "server", e.setting("SLUICE_SERVER", "http://127.0.0.1:8081"), "address of the server's admin port (SLUICE_SERVER)")
	f.StringVar(&e.token, "token", "", "bearer token (SLUICE_TOKEN, or the file that SLUICE_TOKEN_FILE names)")
	f.StringVarP(&e.output, "output", "o", "table", "output: table, json or yaml")
	f.StringVar(&e.color, "color", "auto", "colours: auto, always or never")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		tests := cmd.Flag("tests")
		return e.checkFlags(cmd.Name() == "test" || tests != nil && tests.Value.String() == "true")
	}
	root.AddCommand(
		e.serveCmd(), e.demoCmd(),
		e.applyCmd(), e.lintCmd(), e.getCmd(), e.listCmd(), e.releaseCmd(), e.statusCmd(),
		e.verbCmd("promote", "Skip the present gate of the running release"),
		e.verbCmd("approve", "Give the approval that the running release waits for"),
		e.verbCmd("pause", "Freeze the running release at its present share"),
		e.verbCmd("resume", "Go on with a paused release"),
		e.verbCmd("abort", "Send all users to the live version now and end the release"),
		e.verbCmd("retry", "Start the present step again"),
		e.undoCmd(), e.adjustCmd(), e.feedbackCmd(), e.testCmd(), e.auditCmd(), e.doctorCmd(), e.captureCmd(), e.replayCmd(), e.statCmd(), e.simulateCmd(), e.compareCmd(), e.tokenCmd(), e.versionCmd(), e.completionCmd(root),
	)
	return root
}

func (e *env) checkFlags(test bool) error {
	switch e.output {
	case "table", "json", "yaml":
	case "junit", "html":
		if !test {
			return usage("-o "+e.output+" is an output of sluice test and of get --tests", "use -o table, -o json or -o yaml")
		}
	default:
		return usage(fmt.Sprintf("there is no output %q", e.output), "use -o table, -o json or -o yaml")
	}
	switch e.color {
	case "auto", "always", "never":
	default:
		return usage(fmt.Sprintf("there is no colour mode %q", e.color), "use --color auto, always or never")
	}
	return nil
}

func usage(msg, remedy string) error {
	return &release.Error{Kind: release.KindInvalid, Msg: msg, Remedy: remedy}
}

func (e *env) setting(name, otherwise string) string {
	if v := e.vars[name]; v != "" {
		return v
	}
	return otherwise
}

// client returns a client of the server. A token comes from --token, SLUICE_TOKEN, or a file; the
// file's place is SLUICE_TOKEN_FILE or the one that serve writes for the person who started it.
func (e *env) client() (*api.Client, error) {
	token := e.token
	if token == "" {
		token = e.vars["SLUICE_TOKEN"]
	}
	if token == "" {
		file := e.vars["SLUICE_TOKEN_FILE"]
		if file != "" {
			b, err := os.ReadFile(file)
			if err != nil {
				return nil, &release.Error{Kind: release.KindInvalid, Op: "read the token", Msg: "SLUICE_TOKEN_FILE can't be read", Cause: err}
			}
			token = strings.TrimSpace(string(b))
		}
	}
	if token == "" {
		return nil, usage("a token is needed", "set SLUICE_TOKEN to the token that sluice serve printed at its first start, or to one from sluice token create")
	}
	return &api.Client{Base: e.server, Token: token}, nil
}

// reach returns a client and a context that bounds an ordinary call; done ends it.
func (e *env) reach(ctx context.Context) (bounded context.Context, client *api.Client, done context.CancelFunc, err error) {
	if client, err = e.client(); err != nil {
		return nil, nil, nil, err
	}
	bounded, done = withTimeout(ctx)
	return bounded, client, done, nil
}

// withTimeout bounds an ordinary call.
func withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 30*time.Second)
}
