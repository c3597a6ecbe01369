package agentapi

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"

	"github.com/repool/repool/internal/codes"
)

// The contract's errors; errors.Is works on them across every transport.
var (
	ErrLocked     = errors.New("the node is locked by another run or holder")
	ErrStaleToken = errors.New("the token is older than the newest one given out for this node")
	ErrNoWAL      = errors.New("the WAL asked for is no longer there")
	ErrNoRun      = errors.New("no such run on this node")
	ErrRefused    = errors.New("the agent refused the request")
	// ErrUnknownCall: the agent is one release older and does not know the call.
	ErrUnknownCall = errors.New("the agent's release does not know the call")
)

// What the handshake refuses, and what prevents a connection. Each has a code of
// the same meaning: see Code.
var (
	ErrVersionSkew   = errors.New("the two programs are more than one release apart")
	ErrWrongNode     = errors.New("this is another node's agent")
	ErrForeignSystem = errors.New("this is another cluster's agent")
	ErrNotAllowed    = errors.New("the agent does not serve this caller")
	ErrCertificate   = errors.New("the certificate is not accepted")
	ErrHostKey       = errors.New("the host's key is not the known one")
	ErrNotRunning    = errors.New("the host answers, but no agent runs there")
)

// errNoCertificate is for a TLS connection without a configuration of its own.
var errNoCertificate = errors.New("no certificate")

// errNotAgent is for a response without the handshake.
var errNotAgent = errors.New("something answers that is not a repool agent")

// reasons are why an agent could not be reached.
var reasons = []struct {
	err  error
	code codes.Code
}{
	{ErrVersionSkew, codes.AgentVersionSkew},
	{ErrWrongNode, codes.AgentWrongNode},
	{ErrForeignSystem, codes.AgentForeign},
	{ErrNotAllowed, codes.AgentNotAllowed},
	{ErrCertificate, codes.AgentCertificate},
	{ErrHostKey, codes.AgentHostKey},
	{ErrNotRunning, codes.AgentNotRunning},
}

// Code says why an agent could not be reached. It is empty if err names no reason: the agent just does not answer.
func Code(err error) codes.Code {
	for _, c := range reasons {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return ""
}

// isCertificate says whether a connection failed over a certificate, the far
// side's or our own.
func isCertificate(err error) bool {
	var verify *tls.CertificateVerificationError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &verify) || errors.As(err, &host) || errors.As(err, &authority) || errors.As(err, &invalid) {
		return true
	}
	var op *net.OpError // an alert from the peer, which does not accept ours
	return errors.As(err, &op) && op.Op == "remote error"
}
