package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Child is a program that the agent started. StartTicks is field 22 of
// /proc/<pid>/stat: a process id alone may belong to another by now.
type Child struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"`
	Name       string `json:"name"`
}

// Children is the durable list of programs under way, so that the next agent
// can kill what a dead one left: work directory/children.json.
type Children struct {
	path string
	mu   sync.Mutex
}

// OpenChildren makes sure that the work directory exists. The list is empty when
// there is no file.
func OpenChildren(workDir string) (*Children, error) {
	if err := makeDir(workDir); err != nil {
		return nil, fmt.Errorf("open the list of children: %w", err)
	}
	return &Children{path: filepath.Join(workDir, "children.json")}, nil
}

// OpenChildrenReadOnly is OpenChildren for one that only reads.
func OpenChildrenReadOnly(workDir string) *Children {
	return &Children{path: filepath.Join(workDir, "children.json")}
}

// Add records a child just started; call it before the child may do harm, or
// kill the child when Add fails.
func (c *Children) Add(pid int, startTicks uint64, name string) error {
	return c.change(func(l []Child) []Child {
		l = slices.DeleteFunc(l, func(x Child) bool { return x.PID == pid })
		return append(l, Child{PID: pid, StartTicks: startTicks, Name: name})
	})
}

// Remove forgets a child that has been waited for. Unknown pids are fine.
func (c *Children) Remove(pid int) error {
	return c.change(func(l []Child) []Child {
		return slices.DeleteFunc(l, func(x Child) bool { return x.PID == pid })
	})
}

// List gives the children recorded and not removed. A garbled file is a
// *GarbledError.
func (c *Children) List() ([]Child, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

func (c *Children) change(f func([]Child) []Child) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, err := c.read()
	if err != nil {
		return err
	}
	data, err := json.Marshal(f(list))
	if err != nil {
		return fmt.Errorf("write the list of children: %w", err)
	}
	return WriteFile(c.path, append(data, '\n'), 0o600)
}

func (c *Children) read() ([]Child, error) {
	data, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of children: %w", err)
	}
	var list []Child
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, &GarbledError{Path: c.path, Err: err}
	}
	return list, nil
}
