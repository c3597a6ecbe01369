// Program crash passes the crash points that its arguments name, as an agent does.
package main

import (
	"fmt"
	"os"

	"github.com/repool/repool/internal/node/resync"
)

func main() {
	defer fmt.Println("a deferred call")
	hook := resync.CrashPoint()
	for _, point := range os.Args[1:] {
		fmt.Println(point)
		if hook != nil {
			hook(point)
		}
	}
}
