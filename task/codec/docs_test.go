package codec_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

// What docs/messages.md tells publishers to send is what is read.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../../docs/messages.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)

	body := regexp.MustCompile(`'(\{"func".*\})'`).FindStringSubmatch(doc)
	if body == nil {
		t.Fatal("the publisher with pika is gone")
	}
	m, err := codec.Magne{}.Decode(&task.Raw{Body: []byte(body[1])})
	if err != nil || m.Name != "magne_latency_bench" || string(m.Args) != "[]" {
		t.Errorf("the body of the publisher with pika: got %+v, %v", m, err)
	}

	body = regexp.MustCompile(`json\.dumps\((\{.*\})\),\n`).FindStringSubmatch(doc)
	if body == nil {
		t.Fatal("the json publisher with pika is gone")
	}
	m, err = codec.JSON{}.Decode(&task.Raw{Body: []byte(strings.Replace(body[1], "str(uuid.uuid4())", `"0190"`, 1))})
	if err != nil || m.Name != "resize" || string(m.Args) != `["a.png"]` || string(m.Kwargs) != `{"width": 640}` {
		t.Errorf("the body of the json publisher: got %+v, %v", m, err)
	}

	_, err = codec.JSON{}.Decode(&task.Raw{Body: []byte(`{"task":"a","headers":{"retries":1}}`)})
	if err == nil || !strings.Contains(doc, "`"+err.Error()+"`") {
		t.Errorf("the document quotes another reason than %v", err)
	}
}
