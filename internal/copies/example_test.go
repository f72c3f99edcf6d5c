package copies_test

import (
	"fmt"

	"github.com/magne-actors/magne-actors/internal/copies"
	"github.com/magne-actors/magne-actors/supervisor"
)

// The trees of two copies become one.
func ExampleMerge() {
	tree := func() *supervisor.Node {
		return &supervisor.Node{ID: "root", Kind: "root", State: "up", Children: []*supervisor.Node{
			{ID: "router:mail", Kind: "router", State: "consuming"},
		}}
	}
	root := &supervisor.Node{ID: "root", Kind: "root", State: "up", Children: []*supervisor.Node{
		{ID: "copy/1", Kind: "copy", State: "up"},
		{ID: "copy/2", Kind: "copy", State: "up"},
	}}
	copies.Merge(root, []copies.Part{
		{Copy: 1, Tree: copies.Relabel(tree(), 1)},
		{Copy: 2, Tree: copies.Relabel(tree(), 2)},
	})
	var show func(n *supervisor.Node, indent string)
	show = func(n *supervisor.Node, indent string) {
		fmt.Println(indent + n.ID)
		for _, c := range n.Children {
			show(c, indent+"  ")
		}
	}
	show(root, "")
	fmt.Println(copies.Summary(root))
	// Output:
	// root
	//   copy/1
	//     root@1
	//       router:mail@1
	//   copy/2
	//     root@2
	//       router:mail@2
	// 2/2 copies, 0/0 workers ready, 0 in flight
}
