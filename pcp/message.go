package pcp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	// maxMessage bounds one message from the peer, maxReply all messages of one
	// reply together: far above what a pool with thousands of processes sends.
	maxMessage = 16 << 20
	maxReply   = 64 << 20
	// maxRequest is the largest length word that Pgpool-II accepts.
	maxRequest = 259
	// readStep is how much is allocated before the peer has sent it.
	readStep = 64 << 10

	lengthWord = 4

	// replyTags are all the tags a Pgpool-II sends, errors and notices included.
	replyTags = "mrlihnpwbdctzavgEN"
	tagError  = 'E'
	tagNotice = 'N'

	commandComplete = "CommandComplete"
	arraySize       = "ArraySize"
)

// message is one message of the peer: a tag and what follows the length.
type message struct {
	tag     byte
	payload []byte
}

// readMessage reads one message. io.EOF means the peer closed between two
// messages; io.ErrUnexpectedEOF, within one. An unknown tag or an impossible
// length is ErrProtocol and is noticed before the payload is waited for: some
// Pgpool-II versions can announce a wrong length for node info, and everything
// behind it is then out of step.
func readMessage(r io.Reader) (message, error) {
	var head [1 + lengthWord]byte
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return message{}, err
	}
	if strings.IndexByte(replyTags, head[0]) < 0 {
		return message{}, fmt.Errorf("%w: got byte %q where a message should begin", ErrProtocol, head[0])
	}
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return message{}, inMessage(err)
	}
	length := int64(int32(binary.BigEndian.Uint32(head[1:])))
	if length < lengthWord || length > maxMessage {
		return message{}, fmt.Errorf("%w: message %q of length %d, outside %d to %d",
			ErrProtocol, head[0], length, lengthWord, maxMessage)
	}
	payload, err := readPayload(r, int(length-lengthWord))
	if err != nil {
		return message{}, inMessage(err)
	}
	return message{tag: head[0], payload: payload}, nil
}

// readPayload allocates as the bytes arrive, so that a false length costs nothing.
func readPayload(r io.Reader, n int) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(min(n, readStep))
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func inMessage(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// encode builds a request. The limit is Pgpool-II's, which ends the connection
// with FATAL beyond it.
func encode(tag byte, payload []byte) ([]byte, error) {
	length := lengthWord + len(payload)
	if length > maxRequest {
		return nil, fmt.Errorf("request of %d bytes: pgpool takes at most %d", length, maxRequest)
	}
	b := make([]byte, 0, 1+length)
	b = append(b, tag)
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	return append(b, payload...), nil
}

// fields splits a payload into its texts, each ended by a zero byte.
func fields(payload []byte) ([]string, error) {
	if len(payload) == 0 {
		return nil, nil
	}
	if payload[len(payload)-1] != 0 {
		return nil, fmt.Errorf("%w: text without an end: %s", ErrProtocol, excerpt(payload))
	}
	return strings.Split(string(payload[:len(payload)-1]), "\x00"), nil
}

// terminated is the opposite of fields.
func terminated(texts ...string) []byte {
	var b []byte
	for _, t := range texts {
		b = append(append(b, t...), 0)
	}
	return b
}

func terminatedInt(n int) []byte { return terminated(strconv.Itoa(n)) }
