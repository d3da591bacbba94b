package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/release"
)

func (e *env) tokenRotateCmd() *cobra.Command {
	var req api.RotateRequest
	var grace, expires time.Duration
	cmd := &cobra.Command{
		Use: "rotate ID", Short: "Replace a token by a new one of the same name, role and groups, and print it, for the only time", Args: cobra.ExactArgs(1),
		Long:    "Replace a token by a new one of the same name, role and groups, and print it, for the only time.\nAn admin rotates any token, everybody their own.",
		Example: "  sluice token rotate 0123456789abcdef --grace 24h",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, done, err := e.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			req.Grace, req.Expires = release.Duration(grace), release.Duration(expires)
			t, err := client.RotateToken(ctx, args[0], req)
			if err != nil {
				return err
			}
			return e.print(t, func() {
				fmt.Fprintln(e.out, t.Token)
				fmt.Fprintf(e.err, "token %s of %s (%s) takes the place of %s; it is not shown again\n", t.ID, t.Name, t.Role, args[0])
			})
		},
	}
	cmd.Flags().DurationVar(&grace, "grace", 0, "how long the old one is still valid (default: it ends at once)")
	cmd.Flags().DurationVar(&expires, "expires", 0, "how long the new one is valid (default: as long as the old one was meant to be)")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why; it goes on record")
	return cmd
}
