// A vCenter that is not ours: govmomi's simulator (Debian package golang-github-vmware-govmomi-dev), served over TLS.
//
// Prints one line of JSON on stdout when it answers: {"url": "https://…/sdk", "thumbprintSha256": "AA:BB:…"}.
// Ends, and removes its datastores (folders under TMPDIR), when its stdin is closed or it gets SIGTERM or SIGINT, so
// that it never outlives the test that started it.
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/ioutil"
	"log"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	_ "github.com/vmware/govmomi/pbm/simulator"
	"github.com/vmware/govmomi/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator"
)

func main() {
	listen := flag.String("l", "127.0.0.1:0", "address to listen on")
	user := flag.String("user", "user", "the only user who may log in")
	password := flag.String("password", "pass", "the user's password")
	machines := flag.Int("vm", 2, "virtual machines per resource pool")
	trace := flag.Bool("trace", false, "write SOAP traffic to stderr")
	flag.Parse()

	simulator.Trace = *trace
	model := simulator.VPX()
	model.Machine = *machines
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	model.Service.RegisterEndpoints = true
	model.Service.Listen = &url.URL{Host: *listen, User: url.UserPassword(*user, *password)}
	model.Service.TLS = new(tls.Config)
	server := model.Service.NewServer()

	address := *server.URL
	address.User = nil
	err := json.NewEncoder(os.Stdout).Encode(map[string]string{
		"url":              address.String(),
		"thumbprintSha256": thumbprint(server.Certificate().Raw),
	})
	if err != nil {
		log.Fatal(err)
	}

	waitForEnd()
	model.Remove() // requests under way end with the process
}

// thumbprint writes a certificate's SHA-256 as vSphere does: upper-case hex bytes, separated by colons.
func thumbprint(der []byte) string {
	digits := make([]string, 0, sha256.Size)
	for _, value := range sha256.Sum256(der) {
		digits = append(digits, fmt.Sprintf("%02X", value))
	}
	return strings.Join(digits, ":")
}

func waitForEnd() {
	done := make(chan os.Signal, 1)
	signal.Notify(done, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		_, _ = io.Copy(ioutil.Discard, os.Stdin)
		done <- syscall.SIGTERM
	}()
	<-done
}
