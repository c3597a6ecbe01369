package pcp_test

import (
	"context"
	"fmt"
	"log"
	"strconv"

	"github.com/repool/repool/pcp"
)

// Ask a pool on this host for its nodes, with the password from .pcppass.
func ExampleWith() {
	cfg := pcp.Config{Host: "/var/run/postgresql", Port: pcp.DefaultPort, User: "pooladmin"}
	var err error
	cfg.Password, err = pcp.LookupPassword(pcp.DefaultPassFile(), cfg.Host, strconv.Itoa(cfg.Port), cfg.User, true)
	if err != nil {
		log.Print(err)
		return
	}
	ctx := context.Background()
	var nodes []pcp.NodeInfo
	err = pcp.With(ctx, cfg, func(c *pcp.Conn) (err error) {
		nodes, err = c.Nodes(ctx)
		return err
	})
	if err != nil {
		log.Print(err)
		return
	}
	for _, n := range nodes {
		fmt.Println(n.ID, n.Host, n.Status, n.Role)
	}
}
