package agentapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// codec encodes the contract's messages with encoding/json; every message is
// one JSON object. It takes the place of Connect's own codec of that name,
// which knows only protobuf messages.
//
// strict is for requests: a field that this program does not know could change
// what the caller wants, so the request is refused. A response may have unknown
// fields; they come from a newer peer and are ignored.
type codec struct{ strict bool }

// Name is part of the content type: application/json, application/connect+json.
func (codec) Name() string { return "json" }

func (codec) Marshal(message any) ([]byte, error) { return json.Marshal(message) }

func (c codec) Unmarshal(data []byte, message any) error {
	// null would leave message as it is: a zero value is not an answer.
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return errors.New("not a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if c.strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(message); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more than one JSON object in %d bytes", len(data))
	}
	return nil
}
