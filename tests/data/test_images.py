import gzip

import numpy as np
import pytest
from image_files import COLOUR, GREY, LABELS, cifar, idx, png

from seqdiff.data.images import Images
from seqdiff.errors import DataError

SHAPE = (4, 6, 1)


def folders(root, values=GREY, by=LABELS):
    for number, (image, label) in enumerate(zip(values, by)):
        png(root / f"class{label}" / f"{number:02}.png", image)
    return root


def mnist(root, zipped):
    root.mkdir()
    end = ".gz" if zipped else ""
    for name, part in (("train", slice(0, 18)), ("t10k", slice(18, 24))):
        idx(root / f"{name}-images-idx3-ubyte{end}", GREY[part, ..., 0], zipped=zipped)
        idx(root / f"{name}-labels-idx1-ubyte{end}", LABELS[part] + 4, zipped=zipped)
    return root


def in_order(images):
    """The images in the order of `GREY`."""
    flat = images.values.reshape(len(images), -1)
    return [int(np.flatnonzero((GREY.reshape(24, -1) == row).all(1))[0]) for row in flat]


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_with_its_labels_and_test_images(tmp_path, zipped):
    images = Images.open(mnist(tmp_path / "mnist", zipped), SHAPE)
    order = in_order(images)
    assert sorted(order) == list(range(24))
    assert images.names == ("4", "5", "6")
    assert (images.classes == LABELS[order]).all()
    assert (images.split == np.where(np.array(order) < 18, 0, 2)).all()


def test_a_single_idx_file_finds_its_labels(tmp_path):
    images = Images.open(mnist(tmp_path / "mnist", True) / "train-images-idx3-ubyte.gz", SHAPE)
    assert len(images) == 18
    assert images.names == ("4", "5", "6")


def test_a_folder_of_classes(tmp_path):
    images = Images.open(folders(tmp_path / "f"), SHAPE)
    order = in_order(images)
    assert images.names == ("class0", "class1", "class2")
    assert (images.classes == LABELS[order]).all()
    assert (images.split == 3).all()


def test_a_folder_of_splits_and_one_without_classes(tmp_path):
    folders(tmp_path / "f" / "train", GREY[:20])
    folders(tmp_path / "f" / "test", GREY[20:], LABELS[20:])
    images = Images.open(tmp_path / "f", SHAPE)
    assert np.bincount(images.split).tolist() == [20, 0, 4]
    for number, image in enumerate(GREY):
        png(tmp_path / "plain" / f"{number}.png", image)
    assert Images.open(tmp_path / "plain", SHAPE).names is None


@pytest.mark.parametrize(
    ("move", "says"),
    [("a.png", "no folder of a class"), ("test/class0/a.png", "no folder of a split")],
)
def test_a_stray_image_is_named(tmp_path, move, says):
    folders(tmp_path / "f")
    png(tmp_path / "f" / move, GREY[0])
    with pytest.raises(DataError, match=says):
        Images.open(tmp_path / "f", SHAPE)


def test_cifar(tmp_path):
    values, labels = cifar(tmp_path / "c")
    images = Images.open(tmp_path / "c", (32, 32, 3))
    assert (images.values == values).all()
    assert (images.classes == labels).all()
    assert images.names == tuple("abcdefghij")
    assert np.bincount(images.split).tolist() == [30, 0, 6]


def test_cifar_is_checked(tmp_path):
    cifar(tmp_path / "c", names=False)
    file = tmp_path / "c" / "data_batch_3.bin"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"data_batch_3\.bin: .*no whole number of images"):
        Images.open(tmp_path / "c", (32, 32, 3))
    file.write_bytes(b"\x0b" + whole[1:])
    with pytest.raises(DataError, match=r"data_batch_3\.bin: class 11"):
        Images.open(tmp_path / "c", (32, 32, 3))
    with pytest.raises(DataError, match=r"data.size=\[32,32\] and data.channels=3"):
        Images.open(tmp_path / "c", (28, 28, 1))


@pytest.mark.parametrize("form", ["NHWC", "NCHW", "flat"])
def test_archives_in_every_order(tmp_path, form):
    first = COLOUR.transpose(0, 3, 1, 2)
    values = {"NHWC": COLOUR, "NCHW": first, "flat": first.reshape(24, -1)}[form]
    np.savez_compressed(tmp_path / "a.npz", data=values, labels=LABELS + 1, mean=np.zeros(3))
    images = Images.open(tmp_path / "a.npz", (4, 6, 3))
    assert (images.values == COLOUR).all()
    assert images.names == ("1", "2", "3")


def test_archives_with_splits(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=GREY[:20, ..., 0], y_train=LABELS[:20], x_test=GREY[20:], y_test=LABELS[20:])
    images = Images.open(tmp_path / "a.npz", SHAPE)
    assert np.bincount(images.split).tolist() == [20, 0, 4]
    many = tmp_path / "many"
    many.mkdir()
    np.savez(many / "train_data_batch_1.npz", data=GREY[:10])
    np.savez(many / "train_data_batch_2.npz", data=GREY[10:20])
    np.savez(many / "val_data.npz", data=GREY[20:])
    images = Images.open(many, SHAPE)
    assert np.bincount(images.split).tolist() == [20, 4]
    assert images.names is None


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"data": np.zeros((3, 4, 6)) + 0.5}, "not whole numbers from 0 to 255"),
        ({"data": np.zeros((3, 5, 6), np.uint8)}, r"data.size=\[5,6\]"),
        ({"data": np.zeros((3, 7), np.uint8)}, "3 x 7 values are no images of 4 x 6 x 1"),
        ({"data": np.zeros((3, 4, 6), np.uint8), "other": np.zeros((3, 4, 6), np.uint8)}, "data or other"),
        ({"labels": np.zeros(3, np.uint8)}, "no array of images in it; it has labels"),
        ({"data": np.zeros((3, 4, 6), np.uint8), "labels": np.zeros(2, np.uint8)}, "2 labels"),
        ({"data": np.array([{}], object)}, "cannot be read: Object arrays"),
    ],
)
def test_bad_archives(tmp_path, arrays, says):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=says):
        Images.open(tmp_path / "a.npz", SHAPE)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("where", ["first", "last", "header"])
@pytest.mark.parametrize("zipped", [False, True])
def test_tables(tmp_path, where, zipped):
    flat = GREY.reshape(24, -1).copy()
    flat[:, [0, -1]] = 0  # as in the corners of MNIST
    columns = [LABELS[:, None], flat] if where != "last" else [flat, LABELS[:, None]]
    lines = "\n".join(",".join(map(str, row)) for row in np.concatenate(columns, 1).tolist())
    if where == "header":
        lines = ",".join(["label", *(f"pixel{n}" for n in range(24))]) + "\n" + lines
    path = tmp_path / ("t.csv.gz" if zipped else "t.csv")
    path.write_bytes(gzip.compress(lines.encode()) if zipped else lines.encode())
    images = Images.open(path, SHAPE)
    assert (images.values.reshape(24, -1) == flat).all()
    assert (images.classes == LABELS).all()


def test_bad_tables(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("1,2,3\n")
    with pytest.raises(DataError, match="3 columns, where images of 4 x 6 x 1 have 24"):
        Images.open(path, SHAPE)
    path.write_text(",".join(["300"] * 24))
    with pytest.raises(DataError, match="not whole numbers from 0 to 255"):
        Images.open(path, SHAPE)


@pytest.mark.parametrize("damage", ["cut", "float", "labels", "text"])
def test_damaged_idx(tmp_path, damage):
    root = mnist(tmp_path / "mnist", False)
    file = root / "train-images-idx3-ubyte"
    data = file.read_bytes()
    match damage:
        case "cut":
            file.write_bytes(data[:-3])
            says = "damaged: 429 bytes for 18 x 4 x 6"
        case "float":
            file.write_bytes(data[:2] + b"\x0d" + data[3:])
            says = "type 0x0d"
        case "labels":
            idx(root / "train-labels-idx1-ubyte", LABELS[:5])
            says = "5 labels for 18 images"
        case "text":
            file.write_bytes(b"hello")
            says = "no IDX file"
    with pytest.raises(DataError, match=says):
        Images.open(root, SHAPE)


def test_what_holds_no_images(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        Images.open(tmp_path / "nowhere", SHAPE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no PNG or JPEG, IDX"):
        Images.open(tmp_path / "empty", SHAPE)
    (tmp_path / "empty" / "data_batch_1").write_bytes(b"pickle")
    with pytest.raises(DataError, match="get the binary version"):
        Images.open(tmp_path / "empty", SHAPE)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(b"tar"))
    with pytest.raises(DataError, match="an archive must be unpacked first"):
        Images.open(tmp_path / "a.tar.gz", SHAPE)
    with pytest.raises(DataError, match=r"data\.crop"):
        Images.open(mnist(tmp_path / "mnist", False), SHAPE, crop=True)


def test_images_are_encoded_once_and_again_when_they_change(tmp_path, caplog):
    root = folders(tmp_path / "f")
    first = Images.open(root, SHAPE)
    assert isinstance(first.values.base, np.ndarray)
    caplog.clear()
    assert Images.open(root, SHAPE).checksum == first.checksum
    assert not caplog.records
    png(root / "class0" / "new.png", GREY[0])
    again = Images.open(root, SHAPE)
    assert len(again) == 25
    assert again.checksum != first.checksum


def test_digits_come_with_scikit_learn():
    images = Images.open("digits", (8, 8, 1))
    assert images.values.shape == (1797, 8, 8, 1)
    assert (images.depth, images.values.max()) == (17, 16)
    assert images.names == tuple("0123456789")


@pytest.mark.parametrize("form", ["npz", "csv"])
@pytest.mark.parametrize(("largest", "factor"), [(1, 255), (16, 15), (255, None)])
def test_values_on_another_scale_are_remarked_on(tmp_path, caplog, form, largest, factor):
    """Arrays of 0 to 1 or 0 to 16 would be almost black without a word."""
    values = (np.arange(24 * 4 * 6).reshape(24, 4, 6) % (largest + 1)).astype(np.uint8)
    path = tmp_path / f"images.{form}"
    if form == "npz":
        np.savez(path, images=values)
    else:
        np.savetxt(path, values.reshape(24, -1), fmt="%d", delimiter=",")
    Images.open(path, SHAPE)
    assert (f"no value above {largest}" in caplog.text) == (factor is not None)
    assert factor is None or f"multiply them by {factor} " in caplog.text
