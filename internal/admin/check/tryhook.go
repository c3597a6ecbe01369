package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/repool/repool/internal/pgpool/hook"
)

// ErrCannotTry: only root, or the user itself, can try a hook as that user.
var ErrCannotTry = errors.New("only root and that user itself can try it")

// TryHook proves that the user can run a hook: it starts the command as that user,
// in an empty environment, with hook.TryWord in place of the arguments. The hook
// reads its configuration, looks at what it needs, and does nothing.
func TryHook(ctx context.Context, id Identity, command string) error {
	words := tryWords(shellWords(command))
	if msg := id.mayRun(words[0]); msg != "" {
		return fmt.Errorf("%s as %s: %s", strings.Join(words, " "), id.Name, msg)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Env, c.Dir, c.WaitDelay = []string{}, "/", time.Second
	switch os.Geteuid() {
	case int(id.UID):
	case 0:
		cred := &syscall.Credential{Uid: id.UID, Gid: id.UID, Groups: id.GIDs}
		if len(id.GIDs) > 0 {
			cred.Gid = id.GIDs[0]
		}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	default:
		return fmt.Errorf("%s as %s: %w", strings.Join(words, " "), id.Name, ErrCannotTry)
	}
	out, err := c.CombinedOutput()
	if err == nil && !bytes.Contains(out, []byte(hook.TryAnswer)) {
		err = errors.New("it is not a hook of repool")
	}
	if err != nil {
		said := strings.Join(strings.Fields(string(out[:min(len(out), 1000)])), " ")
		return fmt.Errorf("%s as %s: %w: %s", strings.Join(words, " "), id.Name, err, said)
	}
	return nil
}

// tryWords are a hook's command line with hook.TryWord in place of its arguments.
func tryWords(words []string) []string {
	if len(words) == 0 {
		return []string{""}
	}
	out := words[:1:1]
	if i := slices.Index(words, "hook"); i > 0 && i+1 < len(words) {
		out = slices.Clone(words[:i+2])
		for j := i + 2; j < len(words) && strings.HasPrefix(words[j], "-"); j++ {
			if words[j] == "--" {
				break
			}
			out = append(out, words[j])
			if (words[j] == "--config" || words[j] == "--pgpool-conf") && j+1 < len(words) {
				j++
				out = append(out, words[j])
			}
		}
	}
	return append(out, hook.TryWord)
}
