package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/app"
	"sluice.dev/sluice/internal/onecore"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/resident"
)

func (e *env) serveCmd() *cobra.Command {
	var config, data, gateway, admin, logLevel, logFormat string
	var newToken bool
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the gateway, the controller and the API in one process",
		Long: "Run the gateway (where users' requests go), the controller (which decides) and the API in one process, with\n" +
			"embedded storage in a folder. At its first start it prints an admin token, once.",
		Example: "  sluice serve --data ./data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := readConfig(config)
			if err != nil {
				return err
			}
			override(&cfg.Spec.DataDir, data)
			override(&cfg.Spec.Gateway.Listen, gateway)
			override(&cfg.Spec.Admin.Listen, admin)
			override((*string)(&cfg.Spec.Log.Level), logLevel)
			override((*string)(&cfg.Spec.Log.Format), logFormat)
			log, err := e.logger(string(cfg.Spec.Log.Level), string(cfg.Spec.Log.Format))
			if err != nil {
				return err
			}
			return e.serve(cmd.Context(), app.Options{Config: cfg, Log: log, Version: version(), NewAdminToken: newToken, Waits: onecore.New().Wait})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&newToken, "new-admin-token", false, "print a new admin token: when the first one is lost")
	f.StringVarP(&config, "config", "c", "", "a Config file (default: all defaults)")
	f.StringVar(&data, "data", "", "data folder (default: ./sluice-data)")
	f.StringVar(&gateway, "gateway", "", "address of the gateway port (default: 127.0.0.1:8080)")
	f.StringVar(&admin, "admin", "", "address of the admin port (default: 127.0.0.1:8081)")
	f.StringVar(&logLevel, "log-level", "", "debug, info, warn or error (default: info)")
	f.StringVar(&logFormat, "log-format", "", "text or json (default: text)")
	return cmd
}

func override(field *string, flag string) {
	if flag != "" {
		*field = flag
	}
}

func readConfig(file string) (*release.Config, error) {
	if file == "" {
		return release.DefaultConfig(), nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage(fmt.Sprintf("there is no file %s", file), "name a Config file, or leave -c out for the defaults")
	}
	if err != nil {
		return nil, err
	}
	cfg, faults := release.ParseConfig(file, data)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return cfg.Normalise(), nil
}

func (e *env) logger(level, format string) (*slog.Logger, error) {
	var l slog.Level
	if level != "" {
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return nil, usage(fmt.Sprintf("there is no log level %q", level), "use debug, info, warn or error")
		}
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "", "text":
		return slog.New(slog.NewTextHandler(e.err, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(e.err, o)), nil
	}
	return nil, usage(fmt.Sprintf("there is no log format %q", format), "use text or json")
}

// stopTime bounds a stop: requests under way finish, telemetry is written down.
const stopTime = 20 * time.Second

func (e *env) serve(ctx context.Context, o app.Options) error {
	o.Tell = func(a *app.App) {
		fmt.Fprintf(e.err, "gateway  %s\nadmin    %s\ndata     %s\n", a.GatewayURL(), a.AdminURL(), o.Config.Spec.DataDir)
		if token := a.Token(); token != "" {
			fmt.Fprintf(e.err, "a new admin token; it is shown only now:\n")
			fmt.Fprintln(e.out, token)
			fmt.Fprintf(e.err, "use it: export SLUICE_TOKEN=%s\n", token)
		}
	}
	a, err := app.Start(ctx, o)
	if err != nil {
		return err
	}
	serving, over := context.WithCancel(ctx)
	defer over()
	go resident.Keep(serving, o.Log)
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-a.Failed():
		o.Log.Error("a part has failed, stopping", "error", failed)
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return errors.Join(failed, a.Stop(stop))
}

func (e *env) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this build", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"version": version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			return e.print(v, func() { fmt.Fprintf(e.out, "sluice %s (%s, %s)\n", v["version"], v["go"], v["platform"]) })
		},
	}
}

// release version, set by the linker: -X sluice.dev/sluice/internal/cli.built=v1.2.3
var built string

// version returns what the linker set, or what the module's build information knows.
func version() string {
	if built != "" {
		return built
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return info.Main.Version
}
