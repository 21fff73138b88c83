// Command tlog looks at a log with Go's own implementations: sumdb/note and sumdb/tlog.
//
//	tlog check PREFIX VKEY [WITNESS_VKEY ...]   verify the checkpoint and every tile below PREFIX
//	tlog fsck DIR VKEY                          let Tessera's fsck check a log in static files
//	tlog agent SOCKET                           be an ssh-agent with one new key; print its id
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	"filippo.io/torchwood"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) >= 4 && os.Args[1] == "check":
		check(strings.TrimSuffix(os.Args[2], "/"), os.Args[3], os.Args[4:])
	case len(os.Args) == 4 && os.Args[1] == "fsck":
		checkFiles(os.Args[2], os.Args[3])
	case len(os.Args) == 3 && os.Args[1] == "agent":
		serveAgent(os.Args[2])
	default:
		log.Fatal("usage: tlog check PREFIX VKEY [WITNESS_VKEY ...] | tlog fsck DIR VKEY | tlog agent SOCKET")
	}
}

func fetch(url string) ([]byte, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return io.ReadAll(response.Body)
}

type tiles struct{ prefix string }

func (t tiles) Height() int                                { return 8 }
func (t tiles) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		path := strings.TrimPrefix(tile.Path(), "tile/8/")
		data, err := fetch(t.prefix + "/tile/" + path)
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func check(prefix, key string, witnesses []string) {
	data, err := fetch(prefix + "/checkpoint")
	fatal(err)
	verifier, err := note.NewVerifier(key)
	fatal(err)
	verifiers := []note.Verifier{verifier}
	for _, witness := range witnesses {
		cosigner, err := torchwood.NewCosignatureVerifier(witness)
		fatal(err)
		verifiers = append(verifiers, cosigner)
	}
	signed, err := note.Open(data, note.VerifierList(verifiers...))
	fatal(err)
	if len(signed.Sigs) != len(verifiers) {
		log.Fatalf("%d of %d keys have signed", len(signed.Sigs), len(verifiers))
	}
	checkpoint, err := torchwood.ParseCheckpoint(signed.Text)
	fatal(err)
	tree := tlog.Tree{N: checkpoint.N, Hash: checkpoint.Hash}
	reader := tlog.TileHashReader(tree, tiles{prefix})
	// TileHashReader checks every tile that it reads against the root.
	var indexes []int64
	for n := int64(0); n < tree.N; n++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, n))
	}
	leaves, err := reader.ReadHashes(indexes)
	fatal(err)
	for n, leaf := range leaves {
		proof, err := tlog.ProveRecord(tree.N, int64(n), reader)
		fatal(err)
		fatal(tlog.CheckRecord(proof, tree.N, tree.Hash, int64(n), leaf))
	}
	fmt.Printf("%s %d %s\n", checkpoint.Origin, tree.N, tree.Hash)
}

func checkFiles(folder, key string) {
	verifier, err := note.NewVerifier(key)
	fatal(err)
	files := client.FileFetcher{Root: folder}
	checker := fsck.New(verifier.Name(), verifier, files, leafHashes, fsck.Opts{N: 1})
	fatal(checker.Check(context.Background()))
	fmt.Println("clean")
}

func leafHashes(bundle []byte) ([][]byte, error) {
	var entries api.EntryBundle
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, entry := range entries.Entries {
		hash := tlog.RecordHash(entry)
		hashes = append(hashes, hash[:])
	}
	return hashes, nil
}

func serveAgent(socket string) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	fatal(err)
	keyring := agent.NewKeyring()
	fatal(keyring.Add(agent.AddedKey{PrivateKey: private}))
	signer, err := ssh.NewSignerFromKey(private)
	fatal(err)
	listener, err := net.Listen("unix", socket)
	fatal(err)
	fmt.Println(ssh.FingerprintSHA256(signer.PublicKey()))
	for {
		connection, err := listener.Accept()
		fatal(err)
		go agent.ServeAgent(keyring, connection)
	}
}

func fatal(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
